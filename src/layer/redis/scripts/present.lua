-- Reads the users of a group, with those in their grace.
-- KEYS: the users of the group (set).
-- ARGV: the number of users that are listed at most.
-- Returns the number of users, and their list or false if they are more.
local count = redis.call('SCARD', KEYS[1])
if count > tonumber(ARGV[1]) then
  return {count, false}
end
return {count, redis.call('SMEMBERS', KEYS[1])}
