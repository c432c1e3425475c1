-- Ends a call, once: its reservation becomes what it used, or is taken back as if it
-- had not been made. A mark stays for a while, so that a late copy of the admission
-- finds that the call is over. KEYS are those of the admission.
local undo = ARGV[10] == '1'

local record = call('HGET', KEYS[4], id)
call('HDEL', KEYS[4], id) -- first: where memory is short, what follows a write is allowed
if not record then
	local mark = call('GET', KEYS[5])
	if not mark then call('SET', KEYS[5], 'unknown', 'PX', 60000) end
	return {mark and 1 or 0, sec, usec}
end
local k = scope(KEYS[1])
local day = today(k)
roll(k, day)
local c = parse(record)
finish(k, c, tokens, undo, day)
keep(k)
if c.model ~= '' then
	local m = scope(KEYS[6])
	roll(m, day)
	finish(m, c, tokens, undo, day)
	keep(m)
end
call('SET', KEYS[5], undo and 'canceled' or 'settled', 'PX', 60000)
return {1, sec, usec}
