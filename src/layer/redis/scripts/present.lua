-- Reads the users of a group, with those in their grace.
-- KEYS: none; see `presence.lua`.
-- ARGV: the group, the number of users that are listed at most.
-- Returns the number of users, and their list or false if they are more.
local count = redis.call('SCARD', present(ARGV[1]))
if count > tonumber(ARGV[2]) then
  return {count, false}
end
return {count, redis.call('SMEMBERS', present(ARGV[1]))}
