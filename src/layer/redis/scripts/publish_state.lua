-- Publishes a group's pending state.
-- KEYS: its users (hash).
-- ARGV: see `group.lua`; then its own channel, and `2`, or `1` to leave out a state that is pending
-- until other nodes have written their users.
-- Returns nothing.
local read = call('HGET', KEYS[1], ' m')
if read then
  local count, mark, digest, ids = read_state(read)
  if mark > 0 and mark <= tonumber(ARGV[4]) then
    call('HSET', KEYS[1], ' m', state_text(count, 0, digest, ids))
    publish_state(KEYS[1], ARGV[3], count, digest, digest)
  end
end
