-- Removes the users of a seat's id that no node has any more from a group, some at a time; callers
-- on all nodes share one scan.
-- KEYS: its users (hash).
-- ARGV: see `group.lua`; then its own channel, the id, how many fields are scanned.
-- Returns how many users the id still has.
local key, channel, id = KEYS[1], ARGV[3], ARGV[4]
local mine, place = ' n' .. id, ' r' .. id
local read = call('HMGET', key, ' m', mine, place)
if not read[1] then
  return 0
end
local count, mark, digest, ids = read_state(read[1])
if not read[2] then
  return 0
end
local before, from = count, digest
local own, number = unpack_text('<I', read[2]), sub(read[2], 5)
local cursor, found = string.match(read[3] or '0 0', '^(%d+) (%d+)$')
local scan = call('HSCAN', key, cursor, 'COUNT', ARGV[5])
local set, left, seen = {}, {}, {}
for i = 1, #scan[2], 2 do
  local user, value = scan[2][i], scan[2][i + 1]
  if byte(user) ~= 32 and not seen[user] then
    seen[user] = true -- a scan may return a field twice
    local held, name = split(value)
    local rest = without(held, id)
    if rest then
      own, found = own - 1, found + 1
      if rest == '' then
        left[#left + 1] = user
        count, digest = count - 1, (digest - weigh(member(user, name))) % WHOLE
      else
        set[#set + 1] = user
        set[#set + 1] = rest .. '/' .. name
      end
    end
  end
end
if count == 0 then
  call('DEL', key)
  publish(channel, 'users', 0, from, digest, nil, left)
  return {0, 0}
end
local is_end = own == 0 or scan[1] == '0' and tonumber(found) == 0
if #left > 0 then
  call('HDEL', key, unpack(left))
end
if is_end then
  own, ids = 0, without(ids, id) or ids
  call('HDEL', key, mine, place)
else
  set[#set + 1] = mine
  set[#set + 1] = pack('<I', own) .. number
  set[#set + 1] = place
  -- A pass that found users is not the last one: another server's cursors mean nothing here.
  set[#set + 1] = scan[1] .. ' ' .. text(scan[1] == '0' and 0 or tonumber(found))
end
if #set > 0 then
  call('HSET', key, unpack(set))
end
if #left > 0 then
  mark = publish_change(key, channel, before, count, from, digest, nil, left, mark)
end
call('HSET', key, ' m', state_text(count, mark, digest, ids))
return own
