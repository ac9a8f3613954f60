-- Publishes a group's tick if it is due; returns the ms until the next one, or nothing if it is off.
-- The key holds when the next tick is due. Whoever finds that time past moves it on, and so holds the
-- lock for this tick: the others find it in the future.
-- KEYS: the ticker. ARGV: the group's channel, the event, the period in ms, the linger in ms.
local due = tonumber(redis.call('GET', KEYS[1]))
if not due then
  return nil
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period = tonumber(ARGV[3])
if now < due then
  if due > now + period then -- the clock went back
    due = now + period
    redis.call('SET', KEYS[1], due)
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return due - now
end
-- Ticks that nobody was there for are not made up.
local next = due + period * (math.floor((now - due) / period) + 1)
redis.call('SET', KEYS[1], next, 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return next - now
