-- Who is in a group: how many, and their names unless they are too many. ARGV: the group, how many are listed.
local count = redis.call('SCARD', present(ARGV[1]))
if count > tonumber(ARGV[2]) then
  return {count, false}
end
return {count, redis.call('SMEMBERS', present(ARGV[1]))}
