-- A counter is one string: a header, and a ring of entries in the order of their
-- stamps. An entry at time e is stamped ceil(e) and counts while floor(now) < stamp + W.
-- The limiter in memory does the same, step by step.
local call, pack, unpack, sub = redis.call, struct.pack, struct.unpack, string.sub
local min, max, floor = math.min, math.max, math.floor
local W, MAXR, MAXT, MAXCOUNT, MAXSUM = 60000, 16383, 67108863, 65535, 281474976710655
local MAGIC, HEAD, SIZE, TTL = 'P1', 102, 10, 172800000
local HEADER, ENTRY = '<c2BBI4I4I4I4I4I6I6I6I6I2I4I4I4I4I6I6I6I6I6I6', '<I4I2I4'

local id, date, daystart, dayend = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local entries, strict = tonumber(ARGV[5]), ARGV[6] == '1'
local tokens = {[0] = ARGV[7] + ARGV[8], ARGV[7] + 0, ARGV[8] + 0} -- total, input, output
local model = ARGV[9]
local moved = false -- a clock that was set back has moved a counter

local function clear(c)
	c.head, c.count, c.expiry, c.tail, c.tr, c.tt = 0, 0, 0, 0, 0, 0
	c.req, c.logged = 0, 0
	if c.cap > 64 then c.fresh, c.body = true, '' end -- give the memory back
	c.cap = 4
end

local function load(key)
	local s, _ = call('GETRANGE', key, 0, HEAD - 1)
	local c = { -- all at once: a table that grows field by field costs more than the rest
		key = key, fresh = false, body = false, buf = false, low = 0, high = 0, subs = 0, cap = 4, head = 0, count = 0,
		req = 0, inflight = 0, logged = 0, held = 0, expiry = 0, tail = 0, tr = 0, tt = 0, base = 0,
		date = 0, dreq = 0, day = {[0] = 0, 0, 0}, last = ms, renew = 0, lapse = 0, [0] = false, false, false,
	}
	if s == '' then
		c.fresh, c.body = true, ''
		return c
	end
	if #s < HEAD or sub(s, 1, 2) ~= MAGIC then error('PENSTOCK_FOREIGN') end
	_, c.subs, _, c.cap, c.head, c.count, c.req, c.inflight, c.logged, c.held, c.expiry, c.tail,
		c.tr, c.tt, c.base, c.date, c.dreq, c.day[0], c.day[1], c.day[2], c.last, c.renew, c.lapse = unpack(HEADER, s)
	if c.last > ms and c.count > 0 then -- the clock was set back: all entries keep their ages
		local by = c.last - ms
		c.expiry, c.tail, c.base, moved = c.expiry - by, c.tail - by, (c.base + by) % 4294967296, true
	end
	return c
end

local function save(c)
	if c.fresh or ms >= c.renew then c.renew = ms + TTL / 2 end
	local header = pack(HEADER, MAGIC, c.subs, 0, c.cap, c.head, c.count, c.req, c.inflight, c.logged, c.held, c.expiry, c.tail,
		c.tr, c.tt, c.base, c.date, c.dreq, c.day[0], c.day[1], c.day[2], ms, c.renew, c.lapse)
	if c.fresh then
		call('SET', c.key, header .. c.body, 'PX', TTL)
		return
	end
	call('SETRANGE', c.key, 0, header)
	if c.renew == ms + TTL / 2 then call('PEXPIRE', c.key, TTL) end
end

local function entry(c, place)
	if c.fresh then return unpack(ENTRY, c.body, place * SIZE + 1) end
	if not c.buf or place < c.low or place >= c.high then
		c.low = place
		c.buf = call('GETRANGE', c.key, HEAD + place * SIZE, HEAD + min(place + 32, c.cap) * SIZE - 1)
		c.high = place + floor(#c.buf / SIZE)
	end
	return unpack(ENTRY, c.buf, (place - c.low) * SIZE + 1)
end

local function put(c, place, raw, r, t)
	local s = pack(ENTRY, raw, r, t)
	if c.fresh then
		c.body = sub(c.body, 1, place * SIZE) .. s
	else
		call('SETRANGE', c.key, HEAD + place * SIZE, s)
		c.buf = nil
	end
end

-- each calls visit with each entry, oldest first.
local function each(c, visit)
	local at, previous = c.expiry - W, nil
	for i = 0, c.count - 1 do
		local raw, r, t = entry(c, (c.head + i) % c.cap)
		at = at + (raw - (previous or raw)) % 4294967296
		previous = raw
		visit(at, r, t)
	end
end

local function expire(c)
	if c.count == 0 or ms < c.expiry then return end
	if ms >= c.tail + W then return clear(c) end
	local raw, r, t = entry(c, c.head)
	while ms >= c.expiry do
		c.req, c.logged = c.req - r, c.logged - t
		c.head, c.count = (c.head + 1) % c.cap, c.count - 1
		local gone = raw
		raw, r, t = entry(c, c.head)
		c.expiry = c.expiry + (raw - gone) % 4294967296
	end
end

-- merge joins neighbours whose stamps lie in the same aligned slot under the later
-- stamp, so that no weight leaves the window early, and drops empty entries.
local function merge(c)
	local slot, kept, last = max(1, floor(2 * W / entries)), {}, nil
	each(c, function(at, r, t)
		if r == 0 and t == 0 then return end
		if last and floor(at / slot) == floor(last[1] / slot) and last[2] + r <= MAXR and last[3] + t <= MAXT then
			last[1], last[2], last[3] = at, last[2] + r, last[3] + t
			return
		end
		last = {at, r, t}
		kept[#kept + 1] = last
	end)
	local packed = {}
	for i, e in ipairs(kept) do packed[i] = pack(ENTRY, (e[1] + c.base) % 4294967296, e[2], e[3]) end
	local ring = table.concat(packed)
	if c.fresh then c.body = ring else call('SETRANGE', c.key, HEAD, ring) end
	c.buf, c.head, c.count = nil, 0, #kept
	c.expiry, c.tail, c.tr, c.tt = kept[1][1] + W, last[1], last[2], last[3]
end

-- room makes room for one more entry: small rings grow, large ones merge first.
local function room(c)
	if c.cap >= entries then
		merge(c)
		if c.count <= c.cap / 4 * 3 then return true end
	end
	if c.cap == MAXCOUNT + 1 then return c.count < MAXCOUNT end
	if c.head > 0 then
		local ring = call('GETRANGE', c.key, HEAD, HEAD + c.cap * SIZE - 1)
		call('SETRANGE', c.key, HEAD, sub(ring, c.head * SIZE + 1) .. sub(ring, 1, c.head * SIZE))
		c.head, c.buf = 0, nil
	end
	c.cap = c.cap * 2
	return true
end

local function add(c, at, r, t)
	local raw = (at + c.base) % 4294967296
	c.req, c.logged = c.req + r, c.logged + t
	if c.count > 0 and c.tail == at and (r > 0 or t > 0) then
		local dr, dt = min(r, MAXR - c.tr), min(t, MAXT - c.tt)
		c.tr, c.tt, r, t = c.tr + dr, c.tt + dt, r - dr, t - dt
		put(c, (c.head + c.count - 1) % c.cap, raw, c.tr, c.tt)
	end
	while r > 0 or t > 0 do
		if (c.count == c.cap or c.count == MAXCOUNT) and not room(c) then
			c.req, c.logged = c.req - r, c.logged - t
			return
		end
		local nr, nt = min(r, MAXR), min(t, MAXT)
		put(c, (c.head + c.count) % c.cap, raw, nr, nt)
		if c.count == 0 then c.expiry = at + W end
		c.count, c.tail, c.tr, c.tt = c.count + 1, at, nr, nt
		r, t = r - nr, t - nt
	end
end

-- refund takes weight out of the ring where an event with this stamp stands: in the
-- first entry whose stamp is not below, as merging keeps later stamps, or the next ones.
local function refund(c, at, r, t)
	if c.count == 0 or at + W <= ms then return end
	local oldest, first = c.expiry - W, entry(c, c.head)
	local low, high = 0, c.count
	while low < high do
		local middle = floor((low + high) / 2)
		local raw = entry(c, (c.head + middle) % c.cap)
		if oldest + (raw - first) % 4294967296 < at then low = middle + 1 else high = middle end
	end
	while low < c.count and (r > 0 or t > 0) do
		local place = (c.head + low) % c.cap
		local raw, er, et = entry(c, place)
		local dr, dt = min(r, er), min(t, et)
		if dr > 0 or dt > 0 then put(c, place, raw, er - dr, et - dt) end
		if low == c.count - 1 then c.tr, c.tt = er - dr, et - dt end
		r, t, c.req, c.logged = r - dr, t - dt, c.req - dr, c.logged - dt
		low = low + 1
	end
	while c.count > 0 and c.tr == 0 and c.tt == 0 do
		c.count = c.count - 1
		if c.count > 0 then
			local raw
			raw, c.tr, c.tt = entry(c, (c.head + c.count - 1) % c.cap)
			c.tail = oldest + (raw - first) % 4294967296
		end
	end
	if c.count == 0 then clear(c) end
end

-- scope loads the counters of a key, or of its use of a model: all tokens, and those
-- of one direction that some limit asks for.
local function scope(key)
	local s = load(key)
	s[0] = s
	for kind = 1, 2 do
		if floor(s.subs / kind) % 2 == 1 then s[kind] = load(key .. '.' .. kind) end
	end
	for kind = 0, 2 do if s[kind] then expire(s[kind]) end end
	return s
end

local function keep(s)
	for kind = 0, 2 do if s[kind] then save(s[kind]) end end
end

-- roll starts the counters of the day. The date of a key does not go back.
local function roll(s, day)
	if s.date ~= day then s.date, s.dreq, s.day = day, 0, {[0] = 0, 0, 0} end
end

local function today(s)
	local day = date
	if wall >= dayend then day = date + 1 elseif wall < daystart then day = date - 1 end
	if s.date > day and s.date - day <= 7 then day = s.date end
	return day
end

-- finish ends a call in flight in one scope: its reservation becomes what it used.
local function finish(s, ended, actual, undo, day)
	for kind = 0, 2 do
		local left = ended[kind] - actual[kind]
		if s[kind] then
			local c = s[kind]
			if strict then
				c.held = max(0, c.held - ended[kind])
				add(c, stamp, 0, actual[kind])
			elseif left < 0 then
				add(c, stamp, 0, -left)
			elseif left > 0 then
				refund(c, ended.stamp, 0, left)
			end
		end
		if left < 0 or ended.date == day then s.day[kind] = max(0, min(s.day[kind] - left, MAXSUM)) end
	end
	if undo then
		refund(s, ended.stamp, 1, 0)
		if ended.date == day and s.dreq > 0 and s.dreq < 4294967295 then s.dreq = s.dreq - 1 end
	end
	s.inflight = max(0, s.inflight - 1)
end

local CALL = '<I6I6I6I4I4I4' -- when it lapses, its deadline, stamp, date, input, output

local function parse(record)
	local c = {}
	c.lapse, c.deadline, c.stamp, c.date, c[1], c[2] = unpack(CALL, record)
	c[0], c.model = c[1] + c[2], sub(record, 31)
	return c
end

-- lapse ends the calls of a key that nobody has settled in time. What they reserved
-- stays charged. The names of their models' counters are in their records.
local function lapse(k, day)
	local all, others, least = call('HGETALL', KEYS[4]), {}, 0
	for i = 1, #all, 2 do
		local c = parse(all[i + 1])
		if c.lapse > ms then
			if least == 0 or c.lapse < least then least = c.lapse end
		else
			call('HDEL', KEYS[4], all[i])
			finish(k, c, c, false, day)
			if c.model ~= '' then
				local other = others[c.model] or scope(KEYS[1] .. ':' .. c.model)
				roll(other, day)
				others[c.model] = other
				finish(other, c, c, false, day)
			end
		end
	end
	k.lapse = least
	for _, other in pairs(others) do keep(other) end
	keep(k)
	k = scope(KEYS[1])
	return k
end
