-- Publishes the leaves of users whose grace is over, and pending states; one node does it in each
-- period.
-- KEYS: none; see `presence.lua`. The lock of the period is `<application>:sweep`.
-- ARGV: the node, the period in ms, the number of users that are listed at most.
-- Returns nothing.
local MAX_ENTRIES = 1000 -- the rest is for the next sweep
if not redis.call('SET', APPLICATION .. ':sweep', ARGV[1], 'NX', 'PX', ARGV[2]) then
  return
end
local max_listed = tonumber(ARGV[3])
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, '-inf', now(), 'LIMIT', 0, MAX_ENTRIES)) do
  redis.call('ZREM', LEAVING, entry)
  local user, group = entry:match('^(%S+) (.*)$')
  if not is_in(group, user) and redis.call('SREM', present(group), user) == 1 then
    publish_presence(group, 'leave', user, max_listed)
  end
end
for _, group in ipairs(redis.call('SPOP', PENDING_STATES, MAX_ENTRIES)) do
  publish_presence(group, 'state', nil, max_listed)
end
