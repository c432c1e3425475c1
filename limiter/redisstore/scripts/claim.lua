-- Says that a store uses the prefix with its settings, or returns those of others. It
-- needs every right that the other scripts need.
redis.call('TIME')
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
