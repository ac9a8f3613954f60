-- Removes every node whose lease has expired from every set. Its users leave unless they are on
-- another node; those of the caller have the grace.
-- KEYS: none; see `presence.lua`.
-- ARGV: the grace in ms, and the caller's name if it removes itself.
-- Returns the names of the removed nodes.
local caller = ARGV[2]
if caller then
  redis.call('DEL', APPLICATION .. ':node:' .. caller)
  redis.call('SADD', APPLICATION .. ':nodes', caller) -- it may have been removed before its last write
end
local dead = {}
for _, node in ipairs(redis.call('SMEMBERS', APPLICATION .. ':nodes')) do
  local lease = APPLICATION .. ':node:' .. node
  if redis.call('EXISTS', lease) == 0 then
    local leaves_at = now() + (node == caller and ARGV[1] or 0)
    local index = lease .. ':groups'
    for _, group in ipairs(redis.call('SMEMBERS', index)) do
      local here = APPLICATION .. ':group:' .. group .. ':' .. node
      local users = redis.call('SMEMBERS', here)
      redis.call('SREM', APPLICATION .. ':group:' .. group, node)
      redis.call('UNLINK', here)
      for _, user in ipairs(users) do
        if not is_in(group, user) then
          redis.call('ZADD', LEAVING, leaves_at, user .. ' ' .. group)
        end
      end
    end
    redis.call('UNLINK', index)
    redis.call('SREM', APPLICATION .. ':nodes', node)
    dead[#dead + 1] = node
  end
end
return dead
