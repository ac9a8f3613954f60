-- Publishes the pending state of a group: its number of users, and who they are.
-- KEYS: the pending states (set of groups), the users of the group (set).
-- ARGV: the group, its channel, the number of users that are listed at most.
-- Returns nothing.
if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then
  publish_presence(KEYS[2], KEYS[1], ARGV[1], ARGV[2], 'state', nil, tonumber(ARGV[3]))
end
