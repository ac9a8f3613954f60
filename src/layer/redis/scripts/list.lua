-- Reads the users of a group.
-- KEYS: its users (hash).
-- ARGV: see `group.lua`.
-- Returns how many users there are, and the members, or false if they are too many.
local read = call('HGET', KEYS[1], ' m')
local count = read and unpack_text('<I', read) or 0
return {count, count <= max_listed and members_of(KEYS[1])}
