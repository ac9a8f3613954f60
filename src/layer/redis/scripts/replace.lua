-- Writes a record if its value is the expected one. Its lifetime does not change.
-- KEYS: the record (string).
-- ARGV: the expected value, the new value.
-- Returns 1 if the record was written, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
