'use strict'
// What every driver in these directories shares: commands in, answers and events out, one JSON object per line.
// The Go package beside this file is the other end and describes the protocol.

const readline = require('readline')

const say = message => process.stdout.write(JSON.stringify(message) + '\n')

// Bytes travel as hex; an absent value stays absent.
const hex = bytes => bytes ? Buffer.from(bytes.buffer || bytes, bytes.byteOffset, bytes.byteLength).toString('hex') : null
const unhex = text => text === undefined || text === null ? undefined : Buffer.from(text, 'hex')

// event tells the test something that no command asked for.
const event = (ev, rest) => say({ ev, ...rest })

// promised turns a call with a node-style callback into a promise of that callback's results.
const promised = start => new Promise((resolve, reject) => start((err, ...results) => err ? reject(err) : resolve(results)))

// pattern is bytes that both ends can make without sending them: byte i is (start + i) mod 251.
function pattern (start, length) {
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0, v = start % 251; i < length; i++, v = v === 250 ? 0 : v + 1) bytes[i] = v
  return bytes
}

// must looks a name up that a test chose, and says which one was wrong.
function must (table, what, name) {
  const found = table.get(name)
  if (!found) throw new Error('no ' + what + ' named ' + name)
  return found
}

// serve answers commands until stdin ends. A command may return a promise; what it yields is merged into the answer.
function serve (commands) {
  process.on('uncaughtException', e => event('uncaught', { error: e.message, stack: e.stack }))
  process.on('unhandledRejection', e => event('uncaught', { error: e && e.message, stack: e && e.stack }))

  async function run (line) {
    let message
    try {
      message = JSON.parse(line)
    } catch (e) {
      return event('uncaught', { error: 'not a JSON line: ' + e.message })
    }
    const { n, cmd } = message
    try {
      if (!Object.hasOwn(commands, cmd)) throw new Error('no such command: ' + cmd)
      say({ ...await commands[cmd](message), n, ok: true })
    } catch (e) {
      say({ n, error: e.message || String(e), code: e.code })
    }
  }

  readline.createInterface({ input: process.stdin })
    .on('line', run)
    .on('close', () => process.exit(0))
  event('ready')
}

module.exports = { serve, event, hex, unhex, promised, pattern, must }
