-- Gives users of one node a seat in groups, removes others from theirs, and returns what a node has
-- to know that joins a group or looks at it again.
-- KEYS: the users of each group (hash); then the record of each group with the flag `u`.
-- ARGV: see `group.lua`; how many groups there are; then for each group: its own channel; the
-- seat's id; flags; the share as the node believes it to be ('' for none); the number of this write
-- (4 bytes); how many users join; how many leave; the user and the name of each that joins, with a
-- space before a name that counts only where the user has none; each that leaves.
-- Flags: `l` look: return the members; `q` quiet: other nodes know these users already; `t` renew
-- the lifetime; `u` do nothing if there is the record.
-- Returns for each group three values: `ok`, ` m` and the share; or `differs`, '' and the share, if
-- it is another; or `recorded`, '' and '', if there is the record: then nothing was written; or
-- `error`, the text and ''. With `l` a fourth: the members, or false if they are too many.
local replies, at, groups, records = {}, 4, tonumber(ARGV[3]), 0
for place = 1, groups do
  local key = KEYS[place]
  local channel, id, flags, share, number = unpack(ARGV, at, at + 4)
  local joins, leaves = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local first = at + 7
  at = first + 2 * joins + leaves
  local look, quiet = find(flags, 'l', 1, true), find(flags, 'q', 1, true)
  local mine, fields, is_recorded = ' n' .. id, {}, false
  if find(flags, 'u', 1, true) then
    records = records + 1
    is_recorded = call('EXISTS', KEYS[groups + records]) == 1
  end
  for i = 1, joins do
    fields[i] = ARGV[first + 2 * i - 2]
  end
  for i = 1, leaves do
    fields[joins + i] = ARGV[first + 2 * joins + i - 1]
  end
  local read = not is_recorded and pcall_('HMGET', key, ' m', mine, unpack(fields))
  local status, state, listed
  if is_recorded then
    status, state, share = 'recorded', '', ''
  elseif read.err then
    status, state, share = 'error', read.err, ''
  elseif (read[2] or '') ~= share then
    status, state, share = 'differs', '', read[2] or ''
  else
    local count, mark, digest, ids = read_state(read[1])
    status, state = 'ok', read[1] or ''
    local before, from = count, digest
    local own = share == '' and 0 or unpack_text('<I', share)
    local had_own = own > 0
    local set, gone, joined, left = {}, {}, nil, nil
    for i = 1, joins do
      local user, name, value = fields[i], ARGV[first + 2 * i - 1], read[i + 2]
      if value then
        local held, known = split(value)
        local has_seat = without(held, id)
        if byte(name) == 32 then
          name = known
        end
        if not has_seat then
          own, held = own + 1, held .. id
        end
        if name ~= known then
          digest = (digest - weigh(member(user, known)) + weigh(member(user, name))) % WHOLE
          joined = joined or {}
          joined[#joined + 1] = member(user, name)
        end
        if not has_seat or name ~= known then
          set[#set + 1] = user
          set[#set + 1] = held .. '/' .. name
        end
      else
        name = byte(name) == 32 and sub(name, 2) or name
        local joining = member(user, name)
        own, count, digest, joined = own + 1, count + 1, (digest + weigh(joining)) % WHOLE, joined or {}
        joined[#joined + 1] = joining
        set[#set + 1] = user
        set[#set + 1] = id .. '/' .. name
      end
    end
    for i = joins + 1, joins + leaves do
      local user, value = fields[i], read[i + 2]
      local held, name
      if value then
        held, name = split(value)
      end
      local rest = value and without(held, id)
      if rest then
        own = own - 1
        if rest == '' then
          count, digest, left = count - 1, (digest - weigh(member(user, name))) % WHOLE, left or {}
          left[#left + 1] = user
          gone[#gone + 1] = user
        else
          set[#set + 1] = user
          set[#set + 1] = rest .. '/' .. name
        end
      end
    end
    if count == 0 and before > 0 then
      call('DEL', key)
      publish(channel, 'users', 0, from, digest, nil, left)
      state, share = '', ''
    elseif #set > 0 or left then
      if own == 0 then
        gone[#gone + 1] = mine
        share = ''
      else
        share = pack('<I', own) .. number
        set[#set + 1] = mine
        set[#set + 1] = share
      end
      if had_own ~= (own > 0) then
        ids = had_own and (without(ids, id) or ids) or ids .. id
      end
      if #gone > 0 then
        call('HDEL', key, unpack(gone))
      end
      if #set > 0 then -- a state has what is written
        call('HSET', key, unpack(set))
      end
      if quiet then
        if mark < 2 then -- every node writes its users before a state is published
          publish(channel, 'look', count, from, digest)
        end
        mark = 2
      elseif joined or left then
        mark = publish_change(key, channel, before, count, from, digest, joined, left, mark)
      end
      state = state_text(count, mark, digest, ids)
      call('HSET', key, ' m', state)
      if before == 0 then
        call('PEXPIRE', key, LIFETIME)
      end
    end
    if find(flags, 't', 1, true) then
      call('PEXPIRE', key, LIFETIME)
    end
    listed = look and count <= max_listed and members_of(key)
  end
  local reply = #replies
  replies[reply + 1], replies[reply + 2], replies[reply + 3] = status, state, share
  if look then
    replies[reply + 4] = listed or false
  end
end
return replies
