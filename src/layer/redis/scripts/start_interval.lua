-- Starts a group's interval unless it runs, and informs the group's nodes.
-- KEYS: the interval (string: when its next tick is due in Unix ms, or `off`).
-- ARGV: the period in ms, the linger in ms, the group's own channel, the event.
-- Returns nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('GET', KEYS[1]) or '') then -- `off` is no number
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], string.format('%.0f', now + ARGV[1]), 'PX', ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
