-- Publishes a group's tick if it is due. The key is also the lock: the caller that finds its time
-- past moves it on, and others find it in the future. A node that follows the interval continues it
-- if the key is lost, or if the clock passes its lifetime; for other nodes an interval without a
-- key does not run.
-- KEYS: the interval (string: when its next tick is due in Unix ms, or `off`).
-- ARGV: the group's channel, the event, the period in ms, the linger in ms, '1' if the node follows
-- the interval.
-- Returns the ms until the next tick, or nothing if the interval does not run.
local read, follows = redis.call('GET', KEYS[1]), ARGV[5] == '1'
if read == 'off' or not read and not follows then
  return nil
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period = tonumber(ARGV[3])
local due = tonumber(read or '') or now
local function set(next)
  redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', ARGV[4])
end
if now < due then
  due = math.min(due, now + period) -- the clock was set back
  set(due)
  return due - now
end
-- Missed ticks are skipped.
local next = due + period * (math.floor((now - due) / period) + 1)
set(next)
redis.call('PUBLISH', ARGV[1], ARGV[2])
return next - now
