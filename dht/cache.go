package dht

import "time"

// cache keeps values for a while, in two generations. A value is set in the fresh
// one; when that is full, or two thirds of the age have passed, it becomes the
// stale one, whose predecessor is forgotten. So values live between 2/3 and 4/3 of
// the age, and longer if they are read, since that makes them fresh again.
type cache[K comparable, V any] struct {
	max      int           // values in a generation
	maxBytes int           // and what size says of them; zero means no limit
	age      time.Duration // zero means forever
	size     func(V) int   // nil unless there is maxBytes
	evict    func(K)       // told what was forgotten; may be nil

	fresh, stale map[K]V
	bytes        int       // of fresh
	turn         time.Time // when fresh becomes stale; zero while there is nothing
}

func newCache[K comparable, V any](size int, age time.Duration) *cache[K, V] {
	return &cache[K, V]{max: size, age: age, fresh: make(map[K]V)}
}

// advance does what the time asks for.
func (c *cache[K, V]) advance(now time.Time) {
	if c.age == 0 || c.turn.IsZero() {
		return
	}
	for i := 0; i < 2 && !now.Before(c.turn); i++ {
		c.rotate()
		c.turn = c.turn.Add(c.age * 2 / 3)
	}
	if !now.Before(c.turn) {
		c.turn = now.Add(c.age * 2 / 3)
	}
}

// rotate makes the fresh generation the stale one.
func (c *cache[K, V]) rotate() {
	forgotten := c.stale
	c.stale, c.fresh, c.bytes = c.fresh, make(map[K]V), 0
	if c.evict == nil {
		return
	}
	for k := range forgotten {
		if _, ok := c.stale[k]; !ok {
			c.evict(k)
		}
	}
}

func (c *cache[K, V]) get(now time.Time, k K) (v V, ok bool) {
	c.advance(now)
	if v, ok = c.fresh[k]; ok {
		return v, true
	}
	if v, ok = c.stale[k]; ok {
		c.put(now, k, v)
	}
	return v, ok
}

func (c *cache[K, V]) set(now time.Time, k K, v V) {
	c.advance(now)
	c.put(now, k, v)
}

func (c *cache[K, V]) put(now time.Time, k K, v V) {
	delete(c.stale, k)
	old, known := c.fresh[k]
	if !known && (len(c.fresh) >= c.max || c.maxBytes > 0 && len(c.fresh) > 0 && c.bytes+c.size(v) > c.maxBytes) {
		c.rotate()
		c.turn = time.Time{}
	}
	if c.turn.IsZero() {
		c.turn = now.Add(c.age * 2 / 3)
	}
	if c.maxBytes > 0 {
		if known {
			c.bytes -= c.size(old)
		}
		c.bytes += c.size(v)
	}
	c.fresh[k] = v
}

// delete forgets k, of which evict is not told.
func (c *cache[K, V]) delete(k K) {
	if v, ok := c.fresh[k]; ok {
		if c.maxBytes > 0 {
			c.bytes -= c.size(v)
		}
		delete(c.fresh, k)
	}
	delete(c.stale, k)
}
