package messages

import "github.com/cairn-feeds/cairn/codec/compact"

// PluginRequest is for an extension of a node. It is the value of Plugin.
type PluginRequest struct {
	Plugin           string
	Version, Command uint64
	// Value is nil for none, which is not the same as an empty one.
	Value []byte
}

// Append appends the message to b.
func (m *PluginRequest) Append(b []byte) []byte {
	b = compact.AppendString(b, m.Plugin)
	b = compact.AppendUint(b, m.Version)
	b = compact.AppendUint(b, m.Command)
	b = compact.AppendUint(b, flag(1, m.Value != nil))
	if m.Value != nil {
		b = compact.AppendBuffer(b, m.Value)
	}
	return b
}

// ParsePluginRequest decodes a PluginRequest, whose Value aliases b.
func ParsePluginRequest(b []byte) (PluginRequest, error) {
	d := compact.NewDecoder(b)
	m := PluginRequest{Plugin: d.String(), Version: d.Uint(), Command: d.Uint()}
	if d.Uint()&1 != 0 {
		m.Value = d.Buffer()
	}
	if err := d.Err(); err != nil {
		return PluginRequest{}, malformed("plugin request", err)
	}
	return m, nil
}
