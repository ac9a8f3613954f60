-- Counts the users of groups on all nodes whose lease is alive.
-- KEYS: for each group, the set of nodes that have members there. The sets of their users and the
-- leases are derived from it, and from `APPLICATION`, which stands before this script.
-- ARGV: none.
-- Returns the number of users for each group.
local alive = {}
local function is_alive(node)
  if alive[node] == nil then
    alive[node] = redis.call('EXISTS', APPLICATION .. ':node:' .. node) == 1
  end
  return alive[node]
end

local counts = {}
for i, nodes in ipairs(KEYS) do
  local sets = {}
  for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
    if is_alive(node) then
      sets[#sets + 1] = nodes .. ':' .. node
    end
  end
  if #sets < 2 then
    counts[i] = sets[1] and redis.call('SCARD', sets[1]) or 0
  else
    counts[i] = #redis.call('SUNION', unpack(sets))
  end
end
return counts
