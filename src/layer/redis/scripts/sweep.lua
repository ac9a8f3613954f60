-- Returns what is due: users whose grace is over, and groups whose state is pending. One node gets
-- it in each period; `leave.lua` and `state.lua` do it.
-- KEYS: the lock of the period (string), the leaving users (sorted set of `<user> <group>`, by the
-- ms when the grace ends), the pending states (set of groups).
-- ARGV: the node, the period in ms, the number of entries at most; the rest is for the next sweep.
-- Returns two lists: `<user> <group>` of leaving users, and groups. Both are empty for other nodes.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {{}, {}}
end
return {
  redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now(), 'LIMIT', 0, ARGV[3]),
  redis.call('SRANDMEMBER', KEYS[3], ARGV[3]),
}
