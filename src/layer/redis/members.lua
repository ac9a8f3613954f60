-- Counts a group's members on all nodes whose lease is alive. KEYS: the group's set of nodes.
local count = 0
for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', 'parlor:node:' .. node) == 1 then
    count = count + redis.call('SCARD', KEYS[1] .. ':' .. node)
  end
end
return count
