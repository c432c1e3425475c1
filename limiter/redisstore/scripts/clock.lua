-- The clock of the server is the only one: whole milliseconds rounded down and up.
local time = redis.call('TIME')
local sec, usec = tonumber(time[1]), tonumber(time[2])
local ms = sec * 1000 + math.floor(usec / 1000)
local stamp, wall = sec * 1000 + math.ceil(usec / 1000), ms
