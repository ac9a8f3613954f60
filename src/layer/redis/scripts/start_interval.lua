-- Starts a group's interval unless it runs, and informs every node.
-- KEYS: the interval (string: when its next tick is due, Unix ms).
-- ARGV: the group, the period in ms, the linger in ms, the channel of all nodes.
-- Returns nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not redis.call('SET', KEYS[1], now + ARGV[2], 'NX', 'PX', ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('PUBLISH', ARGV[4], ARGV[1])
