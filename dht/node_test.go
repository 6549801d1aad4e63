package dht_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-feeds/cairn/dht"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
	"github.com/cairn-feeds/cairn/dht/rpc"
)

func TestKeys(t *testing.T) {
	seed := [32]byte(bytes.Repeat([]byte{0x11}, 32))
	key := dht.KeyPairFromSeed(seed)
	const hexKey = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737" // what hypercore-crypto makes of it
	if key.Public.String() != hexKey || !bytes.Equal(key.Secret, ed25519.NewKeyFromSeed(seed[:])) {
		t.Errorf("the key pair of the seed is %v", key.Public)
	}
	for _, text := range []string{hexKey, strings.ToUpper(hexKey), key.Public.ZBase32(), "pear://" + key.Public.ZBase32() + "/path"} {
		if got, err := dht.ParsePublicKey(text); err != nil || got != key.Public {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "zz", hexKey[1:], hexKey + "00"} {
		if _, err := dht.ParsePublicKey(text); !errors.Is(err, dht.ErrKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
	a := dht.Address{Key: key.Public, Nodes: []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:5")}}
	if got, err := dht.ParseAddress(a.Append(nil)); err != nil || got.Key != a.Key || !slices.Equal(got.Nodes, a.Nodes) {
		t.Errorf("address: %+v, %v", got, err)
	}
	if got, err := dht.ParseAddress(key.Public[:]); err != nil || got.Key != key.Public || got.Nodes != nil {
		t.Errorf("bare key: %+v, %v", got, err)
	}
	if _, err := dht.ParseAddress(key.Public[:31]); !errors.Is(err, dht.ErrKey) {
		t.Errorf("short address: %v", err)
	}
	if one, other := dht.NewKeyPair(), dht.NewKeyPair(); one.Public == other.Public {
		t.Error("random key pairs are the same")
	}
}

func TestOptions(t *testing.T) {
	if len(dht.PublicBootstrap()) != 3 || !strings.HasSuffix(dht.PublicBootstrap()[0], "@node1.hyperdht.org:49737") {
		t.Errorf("public network: %q", dht.PublicBootstrap())
	}
	seed := [32]byte{1}
	n := start(t, dht.Options{Seed: &seed})
	if n.KeyPair().Public != dht.KeyPairFromSeed(seed).Public {
		t.Errorf("key pair is %v", n.KeyPair().Public)
	}
	key := dht.NewKeyPair()
	if n := start(t, dht.Options{KeyPair: &key, Seed: &seed}); n.KeyPair().Public != key.Public {
		t.Errorf("key pair is %v", n.KeyPair().Public)
	}
	bad := key
	bad.Public[0]++
	for _, o := range []dht.Options{
		{KeyPair: &bad},
		{KeyPair: &dht.KeyPair{}},
		{MaxRecordAge: -1},
		{RPC: rpc.Options{Bind: rpc.BindUDP}},
		{RPC: rpc.Options{Bootstrap: []string{"nowhere"}}},
		{RPC: rpc.Options{Bootstrap: []string{}, Host: localhost, Port: n.Addr().Port(), FixedPort: true}},
	} {
		if n, err := dht.New(&o); err == nil {
			n.Destroy()
			t.Errorf("%+v is accepted", o)
		}
	}
	if _, err := dht.NewBootstrapper(netip.AddrPort{}, nil); !errors.Is(err, rpc.ErrAddress) {
		t.Errorf("a bootstrapper without address: %v", err)
	}
	// A node of no network stores nothing and finds nothing.
	if _, err := n.PutImmutable(t.Context(), []byte("x"), nil); !errors.Is(err, rpc.ErrTooFewNodes) {
		t.Errorf("put: %v", err)
	}
	if _, err := n.Connect(t.Context(), key.Public, nil); !errors.Is(err, dht.ErrPeerNotFound) {
		t.Errorf("connect: %v", err)
	}
	if _, ok := n.RemoteAddr(); ok {
		t.Error("it knows an address of its own")
	}
}

// A suggested address is used in place of the name behind it.
func TestSuggestedAddress(t *testing.T) {
	first := bootstrapper(t)
	n := start(t, firewalled(), "127.0.0.1@nowhere.invalid:"+first.Addr().String()[len("127.0.0.1:"):])
	if _, err := n.PutImmutable(t.Context(), []byte("x"), nil); err != nil {
		t.Error(err)
	}
}

// memoryStore is a RecordStore.
type memoryStore struct {
	mu   sync.Mutex
	rows map[string][]byte
	fail error
}

func (m *memoryStore) Load(f func(key, value []byte) error) error {
	for k, v := range m.rows {
		if err := f([]byte(k), v); err != nil {
			return err
		}
	}
	return m.fail
}

func (m *memoryStore) Put(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[string(key)] = bytes.Clone(value)
	return m.fail
}

func (m *memoryStore) Delete(key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, string(key))
	return m.fail
}

func TestRecordStore(t *testing.T) {
	ctx := t.Context()
	first := bootstrapper(t)
	store := &memoryStore{rows: make(map[string][]byte)}
	o := persistent()
	o.RecordStore = store
	n := start(t, o, first.Addr().String())
	known(t, first, n)

	key, topic := dht.NewKeyPair(), [32]byte{1}
	put, err := first.PutImmutable(ctx, []byte("immutable"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.PutMutable(ctx, key, 5, []byte("mutable"), nil); err != nil {
		t.Fatal(err)
	}
	announce(t, first, topic, key, nil)
	gone := dht.NewKeyPair()
	announce(t, first, topic, gone, nil)
	if err := first.Unannounce(ctx, topic, gone, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Destroy(); err != nil {
		t.Fatal(err)
	}
	if len(store.rows) != 3 {
		t.Errorf("%d rows are kept", len(store.rows))
	}
	store.rows["rubbish"] = []byte("rubbish")
	store.rows["\x01"+strings.Repeat("x", 32)] = []byte("12345678rubbish")

	other := bootstrapper(t) // which knows nothing
	o = persistent()
	o.RecordStore = store
	n = start(t, o, other.Addr().String())
	known(t, other, n)
	if r, err := other.GetImmutable(ctx, put.Hash, nil); err != nil || string(r.Value) != "immutable" {
		t.Errorf("immutable: %+v, %v", r, err)
	}
	if r, err := other.GetMutable(ctx, key.Public, nil); err != nil || string(r.Value) != "mutable" || r.Seq != 5 {
		t.Errorf("mutable: %+v, %v", r, err)
	}
	if found := slices.Collect(maps.Keys(lookup(t, other, topic))); !slices.Equal(found, []dht.PublicKey{key.Public}) {
		t.Errorf("lookup: %v", found)
	}
	if err := n.Destroy(); err != nil {
		t.Fatal(err)
	}
	if len(store.rows) != 3 {
		t.Errorf("%d rows are kept", len(store.rows))
	}
	store.fail = errors.New("broken")
	if n, err := dht.New(&o); !errors.Is(err, store.fail) {
		n.Destroy()
		t.Errorf("a broken store: %v", err)
	}
}

func TestRecordLimits(t *testing.T) {
	ctx := t.Context()
	nodes, bootstrap := network(t, 3)
	n := start(t, firewalled(), bootstrap)
	value := bytes.Repeat([]byte{1}, dht.MaxImmutable)
	put, err := n.PutImmutable(ctx, value, nil)
	if err != nil || len(put.ClosestNodes) != len(nodes) {
		t.Fatalf("the largest value: %+v, %v", put, err)
	}
	if r, err := n.GetImmutable(ctx, put.Hash, nil); err != nil || !bytes.Equal(r.Value, value) || !r.From.IsValid() || !r.To.IsValid() {
		t.Errorf("got %v", err)
	}
	if _, err := n.PutImmutable(ctx, append(value, 1), nil); !errors.Is(err, dht.ErrValueTooLarge) {
		t.Errorf("a larger one: %v", err)
	}
	key := dht.NewKeyPair()
	if _, err := n.PutMutable(ctx, key, messages.Version<<52, value[:dht.MaxMutable], nil); err != nil {
		t.Errorf("the largest mutable value: %v", err)
	}
	if r, err := n.GetMutable(ctx, key.Public, nil); err != nil || !bytes.Equal(r.Value, value[:dht.MaxMutable]) {
		t.Errorf("got %v", err)
	}
	if _, err := n.PutMutable(ctx, key, 1<<53, nil, nil); err == nil {
		t.Error("a seq of 2^53 is accepted")
	}
	if _, err := n.PutMutable(ctx, key, 1, value, nil); !errors.Is(err, dht.ErrValueTooLarge) {
		t.Errorf("a larger mutable value: %v", err)
	}
	if put, err = n.PutImmutable(ctx, nil, nil); err != nil || put.Hash != dht.Hash(nil) {
		t.Errorf("an empty value: %v", err)
	}
	if r, err := n.GetImmutable(ctx, dht.Hash(nil), nil); err != nil || len(r.Value) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := n.PutMutable(ctx, dht.KeyPair{Public: key.Public}, 0, nil, nil); !errors.Is(err, dht.ErrKey) {
		t.Errorf("without the secret key: %v", err)
	}
}

// What is found can be stored again where it is missing.
func TestMutableRefresh(t *testing.T) {
	ctx := t.Context()
	nodes, bootstrap := network(t, 2)
	n := start(t, firewalled(), bootstrap)
	key := dht.NewKeyPair()
	if _, err := n.PutMutable(ctx, key, 1, []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	late := start(t, persistent(), bootstrap)
	known(t, nodes[0], late)
	has := func() bool {
		target := key.Public.Target()
		r, err := n.RPC().Request(ctx, late.Addr(), rpc.Message{Command: messages.GetMutable, Target: &target, Value: []byte{0}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Value != nil
	}
	for _, again := range []bool{false, true} {
		r, err := n.GetMutable(ctx, key.Public, &dht.MutableGetOptions{Refresh: func(r *dht.MutableRecord) bool { return again && r.Seq == 1 }})
		if err != nil || string(r.Value) != "x" || has() != again {
			t.Errorf("refresh %v: %v, %v", again, has(), err)
		}
	}
}

// Announcements can tell of news, clear older ones, and be renewed without a signature.
func TestAnnounceOptions(t *testing.T) {
	ctx := t.Context()
	nodes, bootstrap := network(t, 2)
	n := start(t, firewalled(), bootstrap)
	key, topic := dht.NewKeyPair(), [32]byte{3}
	now := uint64(time.Now().UnixMilli())
	relay := netip.MustParseAddrPort("9.8.7.6:5")
	chain := messages.RefreshChain([32]byte{4}, 3)
	announce(t, n, topic, key, &dht.AnnounceOptions{Bump: now, Refresh: &chain[0]})
	bump := func() (b uint64) {
		for r := range n.Lookup(ctx, topic, nil) {
			b = max(b, r.Bump)
		}
		return b
	}
	if bump() != now {
		t.Errorf("bump is %d, not %d", bump(), now)
	}
	announce(t, n, topic, key, &dht.AnnounceOptions{Bump: now + 3_600_000, Clear: true, Nodes: []netip.AddrPort{relay}})
	if found := lookup(t, n, topic); bump() != now || !slices.Equal(found[key.Public], []netip.AddrPort{relay}) {
		t.Errorf("bump is %d of the future, peers are %v", bump(), found)
	}
	for i, block := range [][32]byte{chain[2], chain[1], chain[1]} {
		m := messages.Announce{Refresh: &block}
		target := rpc.ID(topic)
		token, err := n.RPC().Request(ctx, nodes[1].Addr(), rpc.Message{Command: messages.Lookup, Target: &target}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.RPC().Request(ctx, nodes[1].Addr(), rpc.Message{Command: messages.AnnouncePeer, Target: &target, Token: token.Token, Value: m.Append(nil)}, &rpc.RequestOptions{NoRetry: true})
		if (err == nil) != (i == 1) {
			t.Errorf("renewal %d: %v", i, err)
		}
	}
}
