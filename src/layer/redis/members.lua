-- Counts a group's users on all nodes whose lease is alive. KEYS: the group's set of nodes.
local sets = {}
for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', 'parlor:node:' .. node) == 1 then
    sets[#sets + 1] = KEYS[1] .. ':' .. node
  end
end
return #sets == 0 and 0 or #redis.call('SUNION', unpack(sets))
