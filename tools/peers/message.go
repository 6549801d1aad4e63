package peers

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
)

// Args are the arguments of a command, or the properties that an event must have. Values are what encoding/json can write;
// [Hex] writes bytes.
type Args map[string]any

// Hex is bytes as an argument: drivers take and give bytes as hex.
func Hex(b []byte) string { return hex.EncodeToString(b) }

// Message is an answer or an event: its properties, not decoded yet.
//
// Its accessors panic when the property is missing or of another type: that is a mistake in a driver or in the test, and
// the panic names it. Absent and null are told by [Message.Has].
type Message map[string]json.RawMessage

// Name returns the name of an event; an answer has none.
func (m Message) Name() string {
	if !m.Has("ev") {
		return ""
	}
	return m.Text("ev")
}

// Has reports whether the property is there and not null.
func (m Message) Has(property string) bool {
	raw, ok := m[property]
	return ok && string(raw) != "null"
}

// Decode stores the property in what v points to, as encoding/json does.
func (m Message) Decode(property string, v any) error {
	raw, ok := m[property]
	if !ok {
		return fmt.Errorf("peers: %s has no %q", m, property)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("peers: property %q: %w", property, err)
	}
	return nil
}

// Text returns a string.
func (m Message) Text(property string) string { return get[string](m, property) }

// Int returns a number without a fraction.
func (m Message) Int(property string) int { return get[int](m, property) }

// Float returns a number.
func (m Message) Float(property string) float64 { return get[float64](m, property) }

// Bool returns a truth value.
func (m Message) Bool(property string) bool { return get[bool](m, property) }

// Bytes returns what the driver gave as hex; it is nil, and not empty, when the driver gave null.
func (m Message) Bytes(property string) []byte {
	if text := get[*string](m, property); text != nil {
		b, err := hex.DecodeString(*text)
		if err != nil {
			panic(fmt.Sprintf("peers: property %q of %s: %v", property, m, err))
		}
		return b
	}
	return nil
}

func get[T any](m Message, property string) T {
	var v T
	if err := m.Decode(property, &v); err != nil {
		panic(err.Error())
	}
	return v
}

// String returns the message as JSON.
func (m Message) String() string {
	b, err := json.Marshal(map[string]json.RawMessage(m))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// matches reports whether the message has every one of these properties with an equal value.
func (m Message) matches(want map[string]any) bool {
	for property, value := range want {
		var got any
		raw, ok := m[property]
		if !ok || json.Unmarshal(raw, &got) != nil || !reflect.DeepEqual(got, value) {
			return false
		}
	}
	return true
}

// plain returns args as encoding/json would read them back, so that they compare with a message whatever their Go types.
func plain(args Args) (map[string]any, error) {
	b, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	err = json.Unmarshal(b, &values)
	return values, err
}
