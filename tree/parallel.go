package tree

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// chunks splits an appendJob for several goroutines. A chunk is 2^bits blocks,
// aligned, so that most parents lie inside of one; whoever takes a chunk computes
// its leaves and those parents. What remains are the few parents across chunks,
// computed at the end from left to right.
type chunks struct {
	appendJob
	bits int
	next atomic.Uint64 // the next chunk that nobody has taken
}

// chunksPerWorker is how finely work is cut, so that workers end at about the same time.
const chunksPerWorker = 8

func (j *appendJob) hashParallel(workers int) {
	c := &chunks{appendJob: *j}
	c.bits = max(0, bits.Len64((j.end-j.start)/uint64(workers*chunksPerWorker))-1)
	c.next.Store(j.start >> c.bits)
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(c.hashChunks)
	}
	c.hashChunks()
	wg.Wait()
	c.join()
}

// hashChunks takes chunks until there are none left.
func (c *chunks) hashChunks() {
	for {
		chunk := c.next.Add(1) - 1
		if chunk<<c.bits >= c.end {
			return
		}
		first := max(c.start, chunk<<c.bits)
		c.hash(first, min(c.end, (chunk+1)<<c.bits), first)
	}
}

// join computes the parents that hashChunks left out: those that began before
// the chunk in which they are completed.
func (c *chunks) join() {
	for block := c.start; block < c.end; block++ {
		first := max(c.start, block>>c.bits<<c.bits)
		// In a whole chunk only the last block completes any; the first chunk
		// may go on with trees from before the job.
		if first > c.start {
			block = first | (1<<c.bits - 1)
			if block >= c.end {
				return
			}
		}
		inside := bits.Len64(block+1-first) - 1 // the largest tree that fits in
		c.hashParents(block, inside+1, 0)
	}
}
