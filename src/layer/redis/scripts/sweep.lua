-- Tells which users have left for good, and how big groups stand; one node in each period does it.
-- ARGV: the node, the period in ms, how many users are listed.
if not redis.call('SET', 'parlor:sweep', ARGV[1], 'NX', 'PX', ARGV[2]) then
  return
end
local listed = tonumber(ARGV[3])
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', LEAVING, '-inf', now(), 'LIMIT', 0, 1000)) do
  redis.call('ZREM', LEAVING, entry)
  local user, group = entry:match('^(%S+) (.*)$')
  if not is_in(group, user) and redis.call('SREM', present(group), user) == 1 then
    tell(group, 'leave', user, listed)
  end
end
for _, group in ipairs(redis.call('SPOP', COUNTING, 1000)) do
  tell(group, 'state', nil, listed)
end
