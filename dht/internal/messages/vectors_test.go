package messages_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/messages"
)

// hexBytes is bytes written as hex in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexBytes) fixed32() *[32]byte {
	if h == nil {
		return nil
	}
	return (*[32]byte)(h)
}

// address is host and port in JSON.
type address struct {
	Host string
	Port uint16
}

func (a *address) addrPort() netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.MustParseAddr(a.Host), a.Port)
}

func addrPorts(a []address) []netip.AddrPort {
	if a == nil {
		return nil
	}
	ports := make([]netip.AddrPort, len(a))
	for i := range a {
		ports[i] = a[i].addrPort()
	}
	return ports
}

// orNil is a with no array where it is empty: the vectors do not tell them apart
// where the encoding does not.
func orNil(a []netip.AddrPort) []netip.AddrPort {
	if len(a) == 0 {
		return nil
	}
	return a
}

type jsonPeer struct {
	PublicKey      hexBytes
	RelayAddresses []address
}

func (p *jsonPeer) peer() *messages.Peer {
	if p == nil {
		return nil
	}
	return &messages.Peer{PublicKey: [32]byte(p.PublicKey), RelayAddresses: orNil(addrPorts(p.RelayAddresses))}
}

// fields has every field of every codec of the vectors.
type fields struct {
	Mode, ID, Round, Seq, Bump, Version, Command uint64
	Error, Firewall                              uint64
	Noise, Payload, Value, Signature             hexBytes
	PublicKey, Token, RemoteToken, Refresh       hexBytes
	PeerAddress, RelayAddress, RemoteAddress     *address
	Addresses, Addresses4, RelayAddresses        []address
	Addresses6                                   []address
	Connected, Punching, IsInitiator             bool
	Plugin                                       string
	Peer                                         *jsonPeer
	Peers                                        []jsonPeer
	Holepunch                                    *struct {
		ID     uint64
		Relays []struct{ RelayAddress, PeerAddress address }
	}
	UDX *struct {
		ReusableSocket bool
		ID, Seq        uint32
	}
	SecretStream *struct{}
	RelayThrough *struct{ PublicKey, Token hexBytes }
}

func (f *fields) noisePayload() *messages.NoisePayload {
	p := &messages.NoisePayload{
		Version:        messages.Version,
		Error:          messages.Error(f.Error),
		Firewall:       messages.Firewall(f.Firewall),
		Addresses4:     orNil(addrPorts(f.Addresses4)),
		Addresses6:     orNil(addrPorts(f.Addresses6)),
		SecretStream:   f.SecretStream != nil,
		RelayAddresses: addrPorts(f.RelayAddresses),
	}
	if h := f.Holepunch; h != nil {
		p.Holepunch = &messages.HolepunchInfo{ID: h.ID}
		for _, r := range h.Relays {
			p.Holepunch.Relays = append(p.Holepunch.Relays, messages.RelayInfo{RelayAddress: r.RelayAddress.addrPort(), PeerAddress: r.PeerAddress.addrPort()})
		}
	}
	if u := f.UDX; u != nil {
		p.UDX = &messages.UDXInfo{ReusableSocket: u.ReusableSocket, ID: u.ID, Seq: u.Seq}
	}
	if r := f.RelayThrough; r != nil {
		p.RelayThrough = &messages.RelayThroughInfo{PublicKey: [32]byte(r.PublicKey), Token: [32]byte(r.Token)}
	}
	return p
}

func (f *fields) holepunchPayload() *messages.HolepunchPayload {
	return &messages.HolepunchPayload{
		Error: messages.Error(f.Error), Firewall: messages.Firewall(f.Firewall), Round: f.Round,
		Connected: f.Connected, Punching: f.Punching,
		Addresses: addrPorts(f.Addresses), RemoteAddress: f.RemoteAddress.addrPort(),
		Token: f.Token.fixed32(), RemoteToken: f.RemoteToken.fixed32(),
	}
}

func (f *fields) mutable() messages.MutableValue {
	return messages.MutableValue{Seq: f.Seq, Value: f.Value, Signature: [64]byte(f.Signature)}
}

// message is what all messages have in common.
type message interface{ Append(b []byte) []byte }

// lookupReply makes a LookupReply a message.
type lookupReply messages.LookupReply

func (r *lookupReply) Append(b []byte) []byte {
	var peers [][]byte
	for i := range r.Peers {
		peers = append(peers, r.Peers[i].Append(nil))
	}
	return messages.AppendLookupReply(b, peers, r.Bump)
}

// mutableSignable makes what is hashed of a mutable value a message.
type mutableSignable struct {
	seq   uint64
	value []byte
}

func (m *mutableSignable) Append(b []byte) []byte {
	v := messages.MutableValue{Seq: m.seq, Value: m.value}
	whole := v.Append(b)
	return whole[:len(whole)-64]
}

// codec says how the vectors of one codec are made and parsed.
type codec struct {
	value func(f *fields) message
	parse func(b []byte) (message, error)
}

// parser adapts a Parse function.
func parser[T any, P interface {
	*T
	message
}](parse func([]byte) (T, error)) func([]byte) (message, error) {
	return func(b []byte) (message, error) {
		m, err := parse(b)
		return P(&m), err
	}
}

var codecs = map[string]codec{
	"handshake": {
		func(f *fields) message {
			return &messages.Handshake{Mode: messages.Mode(f.Mode), Noise: f.Noise, PeerAddress: f.PeerAddress.addrPort(), RelayAddress: f.RelayAddress.addrPort()}
		},
		parser(messages.ParseHandshake),
	},
	"noisePayload": {
		func(f *fields) message { return f.noisePayload() },
		parser(messages.ParseNoisePayload),
	},
	"holepunch": {
		func(f *fields) message {
			return &messages.Holepunch{Mode: messages.Mode(f.Mode), ID: f.ID, Payload: f.Payload, PeerAddress: f.PeerAddress.addrPort()}
		},
		parser(messages.ParseHolepunch),
	},
	"holepunchPayload": {
		func(f *fields) message { return f.holepunchPayload() },
		parser(messages.ParseHolepunchPayload),
	},
	"peer": {
		func(f *fields) message {
			return (&jsonPeer{f.PublicKey, f.RelayAddresses}).peer()
		},
		parser(messages.ParsePeer),
	},
	"lookupRawReply": {
		func(f *fields) message {
			r := &lookupReply{Bump: f.Bump}
			for i := range f.Peers {
				r.Peers = append(r.Peers, *f.Peers[i].peer())
			}
			return r
		},
		func(b []byte) (message, error) {
			r, err := messages.ParseLookupReply(b)
			return (*lookupReply)(&r), err
		},
	},
	"announce": {
		func(f *fields) message {
			a := &messages.Announce{Peer: f.Peer.peer(), Refresh: f.Refresh.fixed32(), Bump: f.Bump}
			if f.Signature != nil {
				a.Signature = (*[64]byte)(f.Signature)
			}
			return a
		},
		parser(messages.ParseAnnounce),
	},
	"mutableSignable": {
		func(f *fields) message { return &mutableSignable{f.Seq, f.Value} },
		func(b []byte) (message, error) {
			m, err := messages.ParseMutableValue(append(bytes.Clone(b), make([]byte, 64)...))
			return &mutableSignable{m.Seq, m.Value}, err
		},
	},
	"mutablePutRequest": {
		func(f *fields) message {
			return &messages.MutablePut{PublicKey: [32]byte(f.PublicKey), MutableValue: f.mutable()}
		},
		parser(messages.ParseMutablePut),
	},
	"mutableGetResponse": {
		func(f *fields) message { m := f.mutable(); return &m },
		parser(messages.ParseMutableValue),
	},
	"pluginRequest": {
		func(f *fields) message {
			return &messages.PluginRequest{Plugin: f.Plugin, Version: f.Version, Command: f.Command, Value: f.Value}
		},
		parser(messages.ParsePluginRequest),
	},
	"blindRelay.pair": {
		func(f *fields) message {
			return &messages.Pair{Initiator: f.IsInitiator, Token: [32]byte(f.Token), ID: uint32(f.ID), Seq: uint32(f.Seq)}
		},
		parser(messages.ParsePair),
	},
	"blindRelay.unpair": {
		func(f *fields) message { return &messages.Unpair{Token: [32]byte(f.Token)} },
		parser(messages.ParseUnpair),
	},
}

type payloadVectors struct {
	Payloads []struct {
		Codec, Note string
		Value       *fields
		Decoded     fields
		Hex         hexBytes
	}
	KeyPairs []struct{ Seed, PublicKey, SecretKey, Target hexBytes }
	Mutable  []struct {
		Seed, PublicKey, Value, Encoded, Signable, Signature, PutRequest hexBytes
		Seq                                                              uint64
	}
	Announce []struct {
		Note                                                     string
		Seed, Target, Token, ResponderNodeID, Refresh            hexBytes
		AnnounceSignable, AnnounceSignature, AnnounceValue       hexBytes
		UnannounceSignable, UnannounceSignature, UnannounceValue hexBytes
	}
	RefreshChain struct {
		Seed   hexBytes
		Blocks []hexBytes
	}
	HolepunchCrypto struct {
		Secret, Nonce, Plaintext, Sealed hexBytes
		Decoded                          fields
		TokenExample                     struct {
			LocalSecret, Token hexBytes
			Host               string
		}
	}
}

func readJSON(tb testing.TB, path string, v any) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
}

func readPayloads(tb testing.TB) (v payloadVectors) {
	tb.Helper()
	readJSON(tb, "testdata/hyperdht-payloads.json", &v)
	if len(v.Payloads) == 0 || len(v.Mutable) == 0 || len(v.Announce) == 0 || len(v.RefreshChain.Blocks) == 0 {
		tb.Fatal("vectors are missing")
	}
	return v
}

func TestPayloadVectors(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range readPayloads(t).Payloads {
		t.Run(v.Codec+"/"+v.Note, func(t *testing.T) {
			c, ok := codecs[v.Codec]
			if !ok {
				t.Fatal("no such codec")
			}
			seen[v.Codec] = true
			if v.Value != nil {
				if got := c.value(v.Value).Append([]byte{1}); !bytes.Equal(got[1:], v.Hex) {
					t.Errorf("encoded as\n%x, want\n%x", got[1:], v.Hex)
				}
			}
			got, err := c.parse(v.Hex)
			if want := c.value(&v.Decoded); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded as\n%+v, want\n%+v (%v)", got, want, err)
			}
			// A bump may be missing, but is always written.
			if again := got.Append(nil); v.Note != "bump missing at the end decodes as 0" && !bytes.Equal(again, v.Hex) {
				t.Errorf("encoded again as\n%x, want\n%x", again, v.Hex)
			}
		})
	}
	for name := range codecs {
		if !seen[name] {
			t.Errorf("%s: no vectors", name)
		}
	}
}

func TestKeyPairVectors(t *testing.T) {
	for _, v := range readPayloads(t).KeyPairs {
		key := ed25519.NewKeyFromSeed(v.Seed)
		if !bytes.Equal(key, v.SecretKey) || !bytes.Equal(key[32:], v.PublicKey) {
			t.Errorf("seed %x is %x, want %x", v.Seed, key, v.SecretKey)
		}
		if target := hash.Sum(v.PublicKey); !bytes.Equal(target[:], v.Target) {
			t.Errorf("target %x, want %x", target, v.Target)
		}
	}
}

func TestMutableVectors(t *testing.T) {
	for _, v := range readPayloads(t).Mutable {
		put := messages.MutablePut{PublicKey: [32]byte(v.PublicKey), MutableValue: messages.MutableValue{Seq: v.Seq, Value: v.Value}}
		if got := messages.MutableSignable(v.Seq, v.Value); !bytes.Equal(got[:], v.Signable) {
			t.Errorf("signable %x, want %x", got, v.Signable)
		}
		put.Sign(ed25519.NewKeyFromSeed(v.Seed))
		if !bytes.Equal(put.Signature[:], v.Signature) {
			t.Errorf("signature %x, want %x", put.Signature, v.Signature)
		}
		if got := put.Append(nil); !bytes.Equal(got, v.PutRequest) {
			t.Errorf("put %x, want %x", got, v.PutRequest)
		}
		if !put.Verify(&put.PublicKey) {
			t.Error("does not verify")
		}
		for name, damage := range map[string]func(m *messages.MutablePut){
			"seq":       func(m *messages.MutablePut) { m.Seq++ },
			"value":     func(m *messages.MutablePut) { m.Value = append(bytes.Clone(m.Value), 0) },
			"signature": func(m *messages.MutablePut) { m.Signature[63] ^= 1 },
			"key":       func(m *messages.MutablePut) { m.PublicKey[0] ^= 1 },
		} {
			damaged := put
			if damage(&damaged); damaged.Verify(&damaged.PublicKey) {
				t.Errorf("verifies with another %s", name)
			}
		}
	}
}

func TestAnnounceVectors(t *testing.T) {
	for _, v := range readPayloads(t).Announce {
		t.Run(v.Note, func(t *testing.T) {
			for _, c := range []struct {
				ns                         [32]byte
				signable, signature, value hexBytes
			}{
				{messages.NSAnnounce, v.AnnounceSignable, v.AnnounceSignature, v.AnnounceValue},
				{messages.NSUnannounce, v.UnannounceSignable, v.UnannounceSignature, v.UnannounceValue},
			} {
				target, node := [32]byte(v.Target), [32]byte(v.ResponderNodeID)
				a, err := messages.ParseAnnounce(c.value)
				if err != nil {
					t.Fatal(err)
				}
				if !a.Verify(c.ns, target, node, v.Token) {
					t.Error("does not verify")
				}
				if got := a.Signable(c.ns, target, node, v.Token); !bytes.Equal(got[:], c.signable) {
					t.Errorf("signable %x, want %x", got, c.signable)
				}
				a.Signature = nil
				if a.Verify(c.ns, target, node, v.Token) {
					t.Error("verifies without a signature")
				}
				a.Sign(ed25519.NewKeyFromSeed(v.Seed), c.ns, target, node, v.Token)
				if !bytes.Equal(a.Signature[:], c.signature) || !bytes.Equal(a.Append(nil), c.value) {
					t.Errorf("signed as %x, want %x", a.Append(nil), c.value)
				}
				for name, ok := range map[string]bool{
					"another namespace": a.Verify(messages.NSMutable, target, node, v.Token),
					"another target":    a.Verify(c.ns, node, node, v.Token),
					"another node":      a.Verify(c.ns, target, target, v.Token),
					"another token":     a.Verify(c.ns, target, node, v.Token[1:]),
				} {
					if ok {
						t.Errorf("verifies with %s", name)
					}
				}
				a.Peer = nil
				if a.Verify(c.ns, target, node, v.Token) {
					t.Error("verifies without a peer")
				}
			}
		})
	}
}

func TestRefreshChainVector(t *testing.T) {
	v := readPayloads(t).RefreshChain
	blocks := messages.RefreshChain([32]byte(v.Seed), len(v.Blocks))
	for i, want := range v.Blocks {
		if !bytes.Equal(blocks[i][:], want) {
			t.Errorf("block %d is %x, want %x", i, blocks[i], want)
		}
	}
}

// TestCaptures decodes what nodes sent each other, encodes it again, and checks
// its signatures.
func TestCaptures(t *testing.T) {
	var v struct {
		Values []struct {
			Capture, Command, Kind       string
			Value, Target, Token, NodeID hexBytes
		}
	}
	readJSON(t, "testdata/captures.json", &v)
	codec := map[string]string{
		"PEER_HANDSHAKE request": "handshake", "PEER_HANDSHAKE response": "handshake",
		"PEER_HOLEPUNCH request": "holepunch", "PEER_HOLEPUNCH response": "holepunch",
		"FIND_PEER response": "peer", "LOOKUP response": "lookupRawReply",
		"ANNOUNCE request": "announce", "UNANNOUNCE request": "announce",
		"MUTABLE_PUT request": "mutablePutRequest", "MUTABLE_GET response": "mutableGetResponse",
	}
	seen := make(map[string]int)
	for i, c := range v.Values {
		what := c.Command + " " + c.Kind
		seen[what]++
		switch what {
		case "MUTABLE_GET request":
			if seq, err := messages.ParseSeq(c.Value); err != nil || !bytes.Equal(messages.AppendSeq(nil, seq), c.Value) {
				t.Errorf("%d %s %s: seq %d, %v", i, c.Capture, what, seq, err)
			}
			continue
		case "IMMUTABLE_PUT request":
			if sum := hash.Sum(c.Value); !bytes.Equal(sum[:], c.Target) {
				t.Errorf("%d %s %s: target %x, want %x", i, c.Capture, what, c.Target, sum)
			}
			continue
		case "IMMUTABLE_GET response":
			continue
		}
		name, ok := codec[what]
		if !ok {
			t.Errorf("%d %s: unexpected %s", i, c.Capture, what)
			continue
		}
		m, err := codecs[name].parse(c.Value)
		if err != nil || !bytes.Equal(m.Append(nil), c.Value) {
			t.Errorf("%d %s %s: %x decoded as %+v, %v", i, c.Capture, what, []byte(c.Value), m, err)
			continue
		}
		switch m := m.(type) {
		case *messages.Announce:
			ns := messages.NSAnnounce
			if c.Command == "UNANNOUNCE" {
				ns = messages.NSUnannounce
			}
			if !m.Verify(ns, [32]byte(c.Target), [32]byte(c.NodeID), c.Token) {
				t.Errorf("%d %s %s: does not verify", i, c.Capture, what)
			}
		case *messages.MutablePut:
			if target := hash.Sum(m.PublicKey[:]); !bytes.Equal(target[:], c.Target) || !m.Verify(&m.PublicKey) {
				t.Errorf("%d %s %s: does not verify", i, c.Capture, what)
			}
		}
	}
	for what := range codec {
		if seen[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
}
