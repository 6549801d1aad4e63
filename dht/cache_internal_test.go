package dht

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-feeds/cairn/dht/rpc"
)

// A cache keeps values for at least 2/3 of its age unless it is full, never longer than
// 4/3 without a read, and tells of each that it forgets.
func TestCacheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const age = 90 * time.Second
		size := rapid.IntRange(1, 8).Draw(t, "size")
		c := newCache[int, string](size, age)
		evicted := make(map[int]bool)
		c.evict = func(k int) { evicted[k] = true }
		touched := make(map[int]time.Time) // when a key was last set or read
		value := make(map[int]string)
		now := time.Unix(1000, 0)
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "seconds")) * time.Second)
			},
			"set": func(t *rapid.T) {
				k := rapid.IntRange(0, 9).Draw(t, "key")
				v := rapid.StringN(0, 3, 3).Draw(t, "value")
				c.set(now, k, v)
				touched[k], value[k] = now, v
				delete(evicted, k)
			},
			"get": func(t *rapid.T) {
				k := rapid.IntRange(0, 9).Draw(t, "key")
				v, ok := c.get(now, k)
				last, known := touched[k]
				switch {
				case ok && (!known || v != value[k]):
					t.Fatalf("got %q of %d, want %q (%v)", v, k, value[k], known)
				case ok && now.Sub(last) > age*4/3:
					t.Fatalf("%d lives after %v", k, now.Sub(last))
				case !ok && known && now.Sub(last) < age*2/3 && size == 8 && len(touched) < 8:
					t.Fatalf("%d is gone after %v", k, now.Sub(last))
				case !ok && known && !evicted[k]:
					t.Fatalf("%d is gone and nobody was told", k)
				case ok:
					touched[k] = now
				case !ok:
					delete(touched, k)
				}
			},
			"delete": func(t *rapid.T) {
				k := rapid.IntRange(0, 9).Draw(t, "key")
				c.delete(k)
				delete(touched, k)
			},
			"": func(t *rapid.T) {
				if len(c.fresh) > size || len(c.stale) > size {
					t.Fatalf("%d and %d values where %d may be", len(c.fresh), len(c.stale), size)
				}
			},
		})
	})
}

func TestCacheBytes(t *testing.T) {
	c := newCache[int, []byte](1000, time.Hour)
	c.maxBytes, c.size = 100, func(b []byte) int { return len(b) }
	now := time.Unix(1000, 0)
	for i := range 1000 {
		c.set(now, i%50, make([]byte, i%40))
		total := 0
		for _, b := range c.fresh {
			total += len(b)
		}
		if total != c.bytes || total > 100 {
			t.Fatalf("%d bytes, counted as %d", total, c.bytes)
		}
	}
}

func TestTopics(t *testing.T) {
	s := newTopics(100, 30*time.Minute)
	var evicted []PublicKey
	s.evict = func(_ rpc.ID, key PublicKey) { evicted = append(evicted, key) }
	now := time.Unix(1000, 0)
	topic := rpc.ID{1}
	record := func(i int) []byte { return fmt.Append(nil, i) }
	for i := range 30 {
		s.add(now, topic, PublicKey{byte(i)}, record(i))
	}
	if s.add(now, topic, PublicKey{3}, record(99)) {
		t.Error("a fresh record was replaced")
	}
	seen := make(map[string]int)
	for range 200 {
		sample := s.sample(now, topic, lookupRecords)
		if len(sample) != lookupRecords {
			t.Fatalf("%d records", len(sample))
		}
		slices.SortFunc(sample, slices.Compare)
		if len(slices.CompactFunc(sample, slices.Equal)) != lookupRecords {
			t.Fatal("a record comes twice")
		}
		for _, r := range sample {
			seen[string(r)]++
		}
	}
	for i := range 30 {
		if n := seen[string(record(i))]; n < 90 || n > 175 { // 133 on average, more than 6 sigma off
			t.Errorf("record %d came %d times of 200", i, n)
		}
	}
	s.remove(topic, PublicKey{3})
	now = now.Add(25 * time.Minute) // stale
	if got := len(s.sample(now, topic, 100)); got != 29 {
		t.Errorf("%d stale records", got)
	}
	if !s.add(now, topic, PublicKey{4}, record(99)) || string(s.fresh[topic].get(PublicKey{4})) != "99" {
		t.Error("a stale record was not replaced")
	}
	if now = now.Add(time.Hour); len(s.sample(now, topic, 100)) != 0 || len(evicted) != 29 {
		t.Errorf("%d records were forgotten", len(evicted))
	}
	for i := range 1000 {
		s.add(now, rpc.ID{2, byte(i >> 8), byte(i)}, PublicKey{5}, record(i))
	}
	if len(s.fresh)+len(s.stale) > 200 {
		t.Errorf("%d and %d topics where 100 may be", len(s.fresh), len(s.stale))
	}
}
