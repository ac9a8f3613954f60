-- Counts the users of groups on some nodes, each user once.
-- KEYS: for each group, its users on each of the nodes (sets).
-- ARGV: the number of nodes.
-- Returns the number of users for each group.
local counts = {}
for first = 1, #KEYS, tonumber(ARGV[1]) do
  local last = first + tonumber(ARGV[1]) - 1
  if first == last then
    counts[#counts + 1] = redis.call('SCARD', KEYS[first])
  else
    counts[#counts + 1] = #redis.call('SUNION', unpack(KEYS, first, last))
  end
end
return counts
