-- The functions that the scripts about users share; it stands before each of them. One hash has all
-- that is true of a group's users, so that no part of it can be lost alone. Its fields:
--   <user>   the seat ids that have it, nine bytes each, then `/` and its name
--   ` m`     how many users there are; 1 if a state is pending, 2 if it is pending until every node
--            has written its users (32 bits each); their digest (a double); the ids that have users
--   ` n<id>` the share of that id: how many users, and the number of the last write (32 bits each)
--   ` r<id>` how far the users of the id have been removed
-- No user's id has a space. A digest is the sum of the members' weights modulo 2^48, which doubles
-- hold. The digests before and after are in every event: a node that has another one than `from`
-- missed an event.
-- ARGV begins with: how many users are listed at most, how many may join at once without a state.
local call, pcall_, sub, byte, find = redis.call, redis.pcall, string.sub, string.byte, string.find
local pack, unpack_text = struct.pack, struct.unpack
local max_listed, max_joins = tonumber(ARGV[1]), tonumber(ARGV[2])
local WHOLE = 281474976710656 -- 2^48
local ID = 9 -- bytes of an id
local LIFETIME = 86400000 -- of the hash, in ms

-- Returns what ` m` says: the count, the mark, the digest and the ids.
local function read_state(state)
  if not state then
    return 0, 0, 0, ''
  end
  local count, mark, digest = unpack_text('<IId', state)
  return count, mark, digest, sub(state, 17)
end

-- Returns the text of ` m`.
local function state_text(count, mark, digest, ids)
  return pack('<IId', count, mark, digest) .. ids
end

-- Returns the text of a member, as clients' frames are made of.
local function member(user, name)
  return name == '' and user or user .. '/' .. name
end

local function weigh(text)
  return tonumber(sub(redis.sha1hex(text), 1, 12), 16)
end

-- Returns the ids and the name of a user's value.
local function split(value)
  local slash = find(value, '/', 1, true) or #value + 1
  return sub(value, 1, slash - 1), sub(value, slash + 1)
end

-- Returns the ids without this one; nothing if it is not among them.
local function without(ids, id)
  for i = 1, #ids, ID do
    if sub(ids, i, i + ID - 1) == id then
      return sub(ids, 1, i - 1) .. sub(ids, i + ID)
    end
  end
end

-- Returns all members of a group that is not large.
local function members_of(key)
  local fields, members = call('HGETALL', key), {}
  for i = 1, #fields, 2 do
    if byte(fields[i]) ~= 32 then
      local _, name = split(fields[i + 1])
      members[#members + 1] = member(fields[i], name)
    end
  end
  return members
end

local function text(number)
  return string.format('%.0f', number)
end

local function publish(channel, change, count, from, to, joined, left, members)
  local event = {type = 'parlor_presence', change = change, count = text(count), from = text(from), to = text(to)}
  event.joined, event.left = joined and table.concat(joined, ' '), left and table.concat(left, ' ')
  event.members = members and table.concat(members, ' ')
  call('PUBLISH', channel, cmsgpack.pack(event))
end

local function publish_state(key, channel, count, from, to)
  publish(channel, 'state', count, from, to, nil, nil, count <= max_listed and members_of(key) or nil)
end

-- Publishes who joined and left, after it was written; returns the new mark.
local function publish_change(key, channel, before, count, from, to, joined, left, mark)
  if count > max_listed then
    return mark == 2 and 2 or 1
  elseif before > max_listed or joined and #joined > max_joins then
    if mark < 2 then
      publish_state(key, channel, count, from, to)
      mark = 0
    end
    return mark
  end
  publish(channel, 'users', count, from, to, joined, left)
  return mark
end

