-- Writes a record if it is still what the caller has read; it lasts as long as before.
-- KEYS: the record. ARGV: what was read, what to write.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
