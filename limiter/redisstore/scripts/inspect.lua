-- Returns what is counted for a key and its use of a model. It changes nothing.
local reply = {0, sec, usec, 0}
for i, key in ipairs(KEYS) do
	if i ~= 4 and i ~= 5 then reply[#reply + 1] = redis.call('GET', key) end
end
for i = #reply + 1, 10 do reply[i] = false end
reply[11] = redis.call('HGETALL', KEYS[4])
return reply
