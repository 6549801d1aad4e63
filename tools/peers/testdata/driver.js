'use strict'
// A driver without any package, for the tests of the harness itself.

const { serve, event, pattern, hex, unhex } = require('../line')

serve({
  echo: m => ({ value: m.value }),
  fail () { throw Object.assign(new Error('as asked'), { code: 'ASKED' }) },
  later: m => new Promise(resolve => setTimeout(() => resolve({ after: m.ms }), m.ms)),
  emit (m) { for (const e of m.events) event(e.ev, e) },
  pattern: m => ({ value: hex(pattern(m.start, m.length)) }),
  length: m => ({ length: unhex(m.value).length }),
  crash () { setImmediate(() => { throw new Error('nobody caught this') }) },
  garbage () { process.stdout.write('debugging output of a library\n') },
  exit: m => process.exit(m.status),
  // hang neither reads nor leaves: only a kill ends it.
  hang () { event('hanging'); setImmediate(() => { for (;;); }) }
})
