-- Reads the users of a group.
-- KEYS: its users (hash).
-- ARGV: see `group.lua`.
-- Returns how many users there are; the members, or false if they are too many; the ids that have
-- users.
local count, _, _, ids = read_state(call('HGET', KEYS[1], ' m'))
return {count, count <= max_listed and members_of(KEYS[1]), ids}
