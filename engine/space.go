package engine

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spaceRecheckBytes is how much may be written before the free space is looked
// up again.
const spaceRecheckBytes = 16 << 20

// spaceGuard refuses writes when the file system runs full, while there still is
// room to close in order.
type spaceGuard struct {
	fs    vfs.FS
	dir   string
	floor int64 // negative: no check; zero: the default

	mu     sync.Mutex
	budget int64 // bytes that may be written before the next look
}

// check refuses a write of n bytes if it would leave less than the floor.
func (g *spaceGuard) check(n int) error {
	if g.floor < 0 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.budget >= int64(n) {
		g.budget -= int64(n)
		return nil
	}
	usage, err := g.fs.GetDiskUsage(g.dir)
	if err != nil {
		// A file system that cannot tell (memory, some network mounts) is not
		// refused for that.
		g.budget = spaceRecheckBytes
		return nil
	}
	floor := g.floor
	if floor == 0 {
		floor = max(minFreeFloor, int64(min(usage.TotalBytes/100, 1<<62)))
	}
	free := int64(min(usage.AvailBytes, 1<<62)) - floor
	if free < int64(n) {
		g.budget = 0
		return fmt.Errorf("%w: %d bytes are free, %d are kept in reserve", ErrNoSpace, usage.AvailBytes, floor)
	}
	g.budget = min(spaceRecheckBytes, free-int64(n))
	return nil
}
