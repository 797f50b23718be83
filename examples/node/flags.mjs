// What the programs share besides their subject: flags that explain themselves.

import { parseArgs } from 'node:util'
import { trust } from './identity.mjs'

const help = (script, about, listen) => `${about}

  node examples/node/${script} --listen ${listen} --trust cidr:127.0.0.0/8

Flags:
  --listen HOST:PORT    serve there; port 0 takes a free one (default ${listen})
  --trust WHOM          believe WHOM about callers (required):
                          cidr:ADDRESS/BITS  plain fields from peers with such an
                                             address, as cidr:127.0.0.0/8
                          txn:JWKS-URL       Transaction Tokens signed with these
                                             keys, whoever brings them
  --trust-domain NAME   with txn: the NAME that tokens must be for (default
                        authctx.local)
  -h, --help            print this`

// Returns where to listen, how callers are known, and how the program ends when it
// cannot listen there, unless it ends here.
export function flags(script, about, listen) {
  try {
    const { values, tokens } = parseArgs({
      tokens: true,
      options: {
        listen: { type: 'string', default: listen },
        trust: { type: 'string' },
        'trust-domain': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      console.log(help(script, about, listen))
      process.exit(0)
    }
    const times = tokens.filter(({ name }) => name === 'trust').length
    if (times > 1) throw new Error(`--trust is given ${times} times`)
    const [, host, port] = /^(.+):(\d+)$/.exec(values.listen) ?? []
    if (!(port <= 65535)) throw new Error(`--listen ${values.listen}: want HOST:PORT, with a port up to 65535`)
    const failed = (error) => {
      console.error(`${script}: --listen ${values.listen}: ${error.message}`)
      process.exit(1)
    }
    return { host, port: Number(port), identify: trust(values.trust, values['trust-domain']), failed }
  } catch (error) {
    console.error(`${script}: ${error.message}\n${script} --help explains the flags`)
    process.exit(2)
  }
}
