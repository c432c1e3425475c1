-- Admits a call and charges it to its key and to the key's use of a model, or changes
-- nothing. KEYS: the key's counter, those of one direction, its calls, the mark of a call
-- that is over, and the model's counter with those of one direction.
local notafter, timeout, hold = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local apart, rules = tonumber(ARGV[13]), ARGV[14]

if call('EXISTS', KEYS[5]) == 1 then return {3, sec, usec} end -- it was ended before it came
if notafter > 0 and wall > notafter then return {4, sec, usec} end -- nobody waits for it any more

local k = scope(KEYS[1])
local day = today(k)
roll(k, day)
local record = call('HGET', KEYS[4], id)
if k.inflight > 0 and k.lapse > 0 and ms >= k.lapse then
	k = lapse(k, day)
	record = call('HGET', KEYS[4], id)
end
local m
if model ~= '' then
	m = scope(KEYS[6])
	roll(m, day)
end

-- part counts tokens of one direction apart from now on, starting with all that the
-- scope holds, as it is not known how many of them were of that direction.
local function part(s, kind)
	if s[kind] then return false end
	local c = load(s.key .. '.' .. kind)
	clear(c)
	c.fresh, c.body, c.held = true, '', 0
	each(s, function(at, _, t) add(c, at, 0, t) end)
	c.req = 0
	if strict then
		for i, value in ipairs(call('HVALS', KEYS[4])) do
			local other = parse(value)
			if s == k or other.model == model then c.held = c.held + other[kind] end
		end
	end
	s[kind], s.subs = c, s.subs + kind
	return true
end
local parted = false
for kind = 1, 2 do
	if floor(apart / kind) % 2 == 1 and part(k, kind) then parted = true end
	if m and floor(apart / (4 * kind)) % 2 == 1 and part(m, kind) then parted = true end
end

local want, one = tokens, 1
if record then want, one = {[0] = 0, 0, 0}, 0 end -- its reply was lost: it is charged already

local rl, rleft, rempty, tl, tleft, tempty = 0, 0, 0, 0, 0, 0
local function fits()
	for p = 1, #rules, 20 do
		local kind, limit, from, til = unpack('<BI7I6I6', rules, p)
		local s = k
		if kind >= 16 then s, kind = m, kind - 16 end
		if wall < from or til > 0 and wall >= til then
			kind = 0
		elseif kind == 1 then
			local used = s.req + one
			if used > limit and one > 0 then return false end
			if rl == 0 or max(0, limit - used) < rleft then
				rl, rleft, rempty = limit, max(0, limit - used), stamp + W
			end
		elseif kind <= 4 then
			local c, n = s[kind - 2] or s, want[kind - 2]
			local used = c.logged + c.held + n
			if used > limit and not record then return false end
			if tl == 0 or max(0, limit - used) < tleft then
				tl, tleft = limit, max(0, limit - used)
				tempty = c.count > 0 and c.tail + W or ms
				if n > 0 and not strict then tempty = stamp + W end
			end
		elseif kind == 5 then
			if s.dreq + one > min(limit, 4294967295) and one > 0 then return false end
		elseif kind <= 8 then
			if s.day[kind - 6] + want[kind - 6] > limit and not record then return false end
		elseif s.inflight + one > limit and one > 0 then
			return false
		end
	end
	return true
end
local function full(s)
	local most = MAXSUM - 2147483648
	return s.count > MAXCOUNT - 1024 or s.logged + s.held > most or s.day[0] > most
end

if not fits() then
	if parted or moved then
		keep(k)
		if m then keep(m) end
	end
	local reply = {0, sec, usec, day}
	for i, key in ipairs(KEYS) do
		if i ~= 4 and i ~= 5 then reply[#reply + 1] = call('GET', key) end
	end
	for i = #reply + 1, 10 do reply[i] = false end
	reply[11] = call('HGETALL', KEYS[4])
	return reply
end
if record then
	local c = parse(record)
	return {1, sec, usec, c.stamp, rl, rleft, rempty - ms, tl, tleft, tempty - ms}
end
if full(k) or m and full(m) then return {2, sec, usec} end

local function charge(s)
	for kind = 0, 2 do
		local c = s[kind]
		if c and strict then c.held = c.held + want[kind] end
		if c then add(c, stamp, kind == 0 and 1 or 0, strict and 0 or want[kind]) end
		s.day[kind] = s.day[kind] + want[kind]
	end
	s.dreq = min(s.dreq + 1, 4294967295)
	s.inflight = s.inflight + 1
end
charge(k)
local deadline = timeout > 0 and ms + timeout + 1 or 0
local lapses = (timeout > 0 and deadline or ms + hold + 1) + W
call('HSET', KEYS[4], id, pack(CALL, lapses, deadline, stamp, day, want[1], want[2]) .. model)
if k.inflight == 1 or ms >= k.renew then call('PEXPIRE', KEYS[4], TTL) end
if k.lapse == 0 or lapses < k.lapse or k.inflight == 1 then k.lapse = lapses end
keep(k)
if m then
	charge(m)
	keep(m)
end
return {1, sec, usec, stamp, rl, rleft, rempty - ms, tl, tleft, tempty - ms}
