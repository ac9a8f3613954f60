-- Returns how many entries a log has, then the ids of its newest, without their texts.
-- KEYS: the log (stream).
-- ARGV: the most ids, the most bytes of the entries that they are read of.
local log, most, bytes = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local length = redis.pcall('XLEN', log)
if type(length) == 'table' then
  return length
end
local ids, from, size = {}, '+', 0
while #ids < most and size < bytes do
  local entry = redis.call('XREVRANGE', log, from, '-', 'COUNT', 1)[1]
  if not entry then
    break
  end
  for _, text in ipairs(entry[2]) do
    size = size + #text
  end
  ids[#ids + 1] = entry[1]
  from = '(' .. entry[1]
end
return {length, ids}
