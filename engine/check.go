package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/tree"
)

// Problem is something in a store that cannot be what was written.
type Problem struct {
	// Feed is the discovery key of the feed, zero when the problem is about none.
	Feed tree.DiscoveryKey
	// What names the kind of problem, one of the Damage constants.
	What Damage
	// Index is the block, node, slot or page that it is about.
	Index uint64
	// Err says what was found.
	Err error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Feed == (tree.DiscoveryKey{}) {
		return fmt.Sprintf("%s: %v", p.What, p.Err)
	}
	return fmt.Sprintf("feed %x: %s %d: %v", p.Feed[:4], p.What, p.Index, p.Err)
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Damage is a kind of problem.
type Damage string

// The kinds of problems that Check finds.
const (
	DamageFile      Damage = "file"        // a table, blob file or log cannot be read
	DamageStray     Damage = "stray row"   // a row that belongs to nothing
	DamageRecord    Damage = "feed record" // a feed's row in the catalogue
	DamageName      Damage = "name"        // a local name and its feed contradict each other
	DamageSecret    Damage = "secret key"  // a secret key that is not the feed's
	DamageHead      Damage = "head"        // length, sizes, roots
	DamageNode      Damage = "node"        // a tree node against its parent
	DamageSignature Damage = "signature"   // a signature against the roots
	DamageMap       Damage = "map"         // the block map against the blocks
	DamageBlock     Damage = "block"       // a block against its leaf
)

// CheckOptions say what Check looks at. Nil and the zero value check everything.
type CheckOptions struct {
	// Feed, when not nil, limits the check to one feed.
	Feed *tree.DiscoveryKey
	// OnProblem, when not nil, is called with each problem as it is found.
	OnProblem func(*Problem)
	// Progress, when not nil, is called now and then with the blocks looked at so
	// far and in all.
	Progress func(done, total uint64)
}

// Report counts what Check looked at.
type Report struct {
	Feeds, Blocks, Bytes, Nodes, Signatures uint64
	// Unverified counts signatures whose roots are not known here, which is no
	// problem in a sparse feed.
	Unverified uint64
	// Problems is how many problems were found.
	Problems uint64
}

// Check verifies the store: that every row belongs to something, and for each
// feed the head against the tree, nodes against their parents, roots against
// signatures, the map against the blocks, and blocks against their leaves. The
// result tells what was found; an error means that the check could not be finished.
//
// Writers may go on; a feed that is written while it is being checked is looked at
// as it was when its turn came.
func (s *Store) Check(ctx context.Context, opts *CheckOptions) (Report, error) {
	if err := s.use(); err != nil {
		return Report{}, err
	}
	defer s.unuse()
	c := &checker{ctx: ctx, s: s, db: s.db.NewSnapshot()}
	defer c.db.Close()
	if opts != nil {
		c.opts = *opts
	}
	err := c.run()
	return c.report, err
}

// checker is one run of Check. It reads everything from one snapshot.
type checker struct {
	ctx    context.Context
	s      *Store
	db     *pebble.Snapshot
	opts   CheckOptions
	report Report
	total  uint64 // blocks

	numbers map[feedNumber]tree.DiscoveryKey
}

func (c *checker) problem(dk tree.DiscoveryKey, what Damage, index uint64, format string, args ...any) {
	c.report.Problems++
	if c.opts.OnProblem != nil {
		c.opts.OnProblem(&Problem{Feed: dk, What: what, Index: index, Err: fmt.Errorf(format, args...)})
	}
}

func (c *checker) run() error {
	c.numbers = make(map[feedNumber]tree.DiscoveryKey)
	feeds, err := c.catalogue()
	if err != nil {
		return err
	}
	for _, f := range feeds {
		c.total += f.head.present
	}
	for i := range feeds {
		if c.opts.Feed != nil && feeds[i].dk != *c.opts.Feed {
			continue
		}
		if err := c.feed(&feeds[i]); err != nil {
			return err
		}
		c.report.Feeds++
	}
	if c.opts.Feed != nil {
		return nil
	}
	return c.tables(feeds)
}

// checkedFeed is a feed whose record and head could be read.
type checkedFeed struct {
	dk     tree.DiscoveryKey
	record *feedRecord
	head   *head
}

// scan calls visit with the rows between two keys.
func (c *checker) scan(lower, upper []byte, visit func(key, value []byte) error) error {
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			c.unreadable(it.Key(), err)
			continue
		}
		if err := visit(it.Key(), v); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		c.unreadable(lower, err)
	}
	return nil
}

func (c *checker) unreadable(near []byte, err error) {
	c.problem(tree.DiscoveryKey{}, DamageFile, 0, "cannot be read near row %x: %w", near, err)
}

// get calls visit with a row; found is false when there is none, or when it cannot
// be read, which is reported.
func (c *checker) get(key []byte, visit func(v []byte) error) (found bool, err error) {
	v, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		c.unreadable(key, err)
		return false, nil
	}
	return true, errors.Join(visit(v), closer.Close())
}

// catalogue reads records and heads.
func (c *checker) catalogue() ([]checkedFeed, error) {
	var feeds []checkedFeed
	lower, upper := tableSpan(tableFeeds)
	err := c.scan(lower, upper, func(key, value []byte) error {
		var dk tree.DiscoveryKey
		if copy(dk[:], key[1:]) != len(dk) || len(key) != 1+len(dk) {
			c.problem(dk, DamageRecord, 0, "row key %x", key)
			return nil
		}
		r, err := parseRecord(value)
		if err != nil {
			c.problem(dk, DamageRecord, 0, "%w", err)
			return nil
		}
		if r.key().DiscoveryKey() != dk {
			c.problem(dk, DamageRecord, 0, "the public key %v is that of another feed", r.key())
			return nil
		}
		if other, ok := c.numbers[r.Number]; ok {
			c.problem(dk, DamageRecord, 0, "number %d belongs to feed %x too", r.Number, other[:4])
			return nil
		}
		c.numbers[r.Number] = dk
		found, err := c.get(numberKey(tableHeads, r.Number), func(v []byte) error {
			h, err := parseHead(v)
			if err != nil {
				c.problem(dk, DamageHead, 0, "%w", err)
				return nil
			}
			feeds = append(feeds, checkedFeed{dk, r, h})
			return nil
		})
		if err == nil && !found {
			c.problem(dk, DamageHead, 0, "missing")
		}
		return err
	})
	return feeds, err
}

// tables checks the rows that are not feed data.
func (c *checker) tables(feeds []checkedFeed) error {
	byKey := make(map[tree.DiscoveryKey]*feedRecord, len(feeds))
	for _, f := range feeds {
		byKey[f.dk] = f.record
	}
	lower, upper := tableSpan(tableNames)
	if err := c.scan(lower, upper, func(key, value []byte) error {
		if len(value) != len(tree.DiscoveryKey{}) {
			c.problem(tree.DiscoveryKey{}, DamageName, 0, "%q names no feed", key[1:])
			return nil
		}
		dk := tree.DiscoveryKey(value)
		if r := byKey[dk]; r == nil || r.Name != string(key[1:]) {
			c.problem(dk, DamageName, 0, "%q is not what the feed is called", key[1:])
		}
		return nil
	}); err != nil {
		return err
	}
	for _, f := range feeds {
		if err := c.names(&f); err != nil {
			return err
		}
	}
	for _, table := range []byte{tableHeads, tableSecrets} {
		lower, upper := tableSpan(table)
		if err := c.scan(lower, upper, func(key, _ []byte) error {
			n, err := parseNumberKey(table, key)
			if _, ok := c.numbers[n]; err != nil || !ok {
				c.problem(tree.DiscoveryKey{}, DamageStray, 0, "row %x belongs to no feed", key)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return c.strayData()
}

// names checks name and secret key of one feed.
func (c *checker) names(f *checkedFeed) error {
	if f.record.Name != "" {
		found, err := c.get(nameKey(f.record.Name), func([]byte) error { return nil })
		if err != nil {
			return err
		}
		if !found {
			c.problem(f.dk, DamageName, 0, "%q cannot be looked up", f.record.Name)
		}
	}
	found, err := c.get(numberKey(tableSecrets, f.record.Number), func([]byte) error {
		// Not the row of the snapshot: the seal may have changed since.
		if _, _, err := c.s.secret(f.record.Number, f.record.key()); err != nil && !errors.Is(err, ErrSealed) {
			c.problem(f.dk, DamageSecret, 0, "%w", err)
		}
		return nil
	})
	if err == nil && found != f.record.Writable {
		c.problem(f.dk, DamageSecret, 0, "the record says writable %v, but a secret key is there: %v", f.record.Writable, found)
	}
	return err
}

// strayData looks for rows of feeds that are not in the catalogue, jumping from
// feed to feed.
func (c *checker) strayData() error {
	lower, upper := tableSpan(tableData)
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); {
		n, _, _, err := parseDataKey(it.Key())
		if err != nil {
			c.problem(tree.DiscoveryKey{}, DamageStray, 0, "row %x has no valid key", it.Key())
			it.Next()
			continue
		}
		if _, ok := c.numbers[n]; !ok {
			c.problem(tree.DiscoveryKey{}, DamageStray, 0, "rows of feed number %d, which is not in the catalogue", n)
		}
		_, end := dataSpan(n)
		it.SeekGE(end)
	}
	if err := it.Error(); err != nil {
		c.unreadable(lower, err)
	}
	return nil
}

// feed checks one feed.
func (c *checker) feed(f *checkedFeed) error {
	fc := &feedChecker{checker: c, checkedFeed: f, present: bitmap.NewSet()}
	for _, step := range []func() error{fc.loadMap, fc.nodes, fc.signatures, fc.blocks, fc.strayRows} {
		if err := step(); err != nil {
			return err
		}
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
	}
	return nil
}
