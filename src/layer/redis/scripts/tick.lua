-- Publishes a group's tick if it is due. The key is also the lock: the caller that finds its time
-- past moves it on, and others find it in the future.
-- KEYS: the interval (string: when its next tick is due, Unix ms).
-- ARGV: the group's channel, the event, the period in ms, the linger in ms.
-- Returns the ms until the next tick, or nothing if the interval does not run.
local due = tonumber(redis.call('GET', KEYS[1]))
if not due then
  return nil
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period = tonumber(ARGV[3])
if now < due then
  if due > now + period then -- the clock was set back
    due = now + period
    redis.call('SET', KEYS[1], due)
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return due - now
end
-- Missed ticks are skipped.
local next = due + period * (math.floor((now - due) / period) + 1)
redis.call('SET', KEYS[1], next, 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return next - now
