// How a service in Node knows its caller: from the plain identity fields of a
// gateway that it trusts by address, or from a Transaction Token that the
// gateway signed. Both return the caller and the second at which the caller's
// time is over, or null when nobody is named, and throw when what is there
// cannot be believed.

import { BlockList, isIPv6 } from 'node:net'
import { createRemoteJWKSet, jwtVerify } from 'jose'

// Reads --trust: "cidr:127.0.0.0/8" or "txn:JWKS-URL". The function returned
// takes the request's fields, a map from lower-case names to lists of values,
// and the address of the peer.
export function trust(flag, trustDomain) {
  const [, kind, arg] = /^(cidr|txn):(.+)$/.exec(flag ?? '') ?? []
  if (kind === 'cidr') return plainFields(arg)
  if (kind === 'txn') return transactionTokens(new URL(arg), trustDomain)
  throw new Error('--trust is required: cidr:PREFIX or txn:JWKS-URL')
}

function plainFields(prefix) {
  const trusted = new BlockList() // a list of addresses, whatever its name says
  const [address, bits] = prefix.split('/')
  trusted.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  return async (fields, peer) => {
    const one = (name) => {
      const values = (fields[name] ?? []).filter((value) => value !== '')
      if (values.length > 1) throw new Error(`${name} occurs twice`)
      return values[0]
    }
    const text = (name) => element(one(name) ?? '')
    const list = (name) => (one(name)?.split(',') ?? []).map((e) => element(e.trim()))

    peer = peer.replace(/^::ffff:/, '')
    if (!trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) return null
    if (!one('x-user-id') && !one('x-user-issuer')) return null
    if (!one('x-user-id') || !one('x-user-issuer')) throw new Error('half an identity')
    return lasting(one('x-user-expires'), {
      issuer: text('x-user-issuer'),
      subject: text('x-user-id'),
      kind: text('x-user-kind') || 'user',
      name: text('x-user-name'),
      email: text('x-user-email'),
      tenant: text('x-user-tenant'),
      client_id: text('x-user-client-id'),
      roles: list('x-user-roles'),
      permissions: list('x-user-permissions'),
      scopes: list('x-user-scopes'),
      groups: list('x-user-groups'),
      provenance: 'asserted',
    })
  }
}

// A caller whose time is not over; without an end it never is.
function lasting(expires, caller) {
  const end = expires === undefined ? Infinity : Number(expires)
  if (!(end > Date.now() / 1000)) throw new Error('the caller has expired')
  return { caller, end }
}

// Every byte that could be mistaken for something else comes percent-encoded.
function element(s) {
  if (s.includes(',')) throw new Error('a comma where one value belongs')
  return decodeURIComponent(s)
}

function transactionTokens(jwksURL, trustDomain) {
  const keys = createRemoteJWKSet(jwksURL, { cooldownDuration: 1000 })
  return async (fields) => {
    const tokens = fields['txn-token'] ?? []
    if (tokens.length === 0) return null
    if (tokens.length > 1) throw new Error('two Transaction Tokens')
    const { payload } = await jwtVerify(tokens[0], keys, {
      typ: 'txntoken+jwt',
      issuer: trustDomain,
      audience: trustDomain,
      algorithms: ['EdDSA', 'ES256', 'RS256'],
      requiredClaims: ['iat', 'exp', 'txn', 'sub', 'scope', 'req_wl'],
      maxTokenAge: '10 minutes',
      clockTolerance: 30,
    })
    const details = payload.tctx ?? {}
    return lasting(details.src_exp ?? payload.exp, {
      issuer: details.src_iss,
      subject: details.src_sub ?? payload.sub,
      kind: details.kind ?? 'user',
      name: details.name ?? '',
      email: details.email ?? '',
      tenant: details.tenant ?? '',
      client_id: details.client_id ?? '',
      roles: details.roles ?? [],
      permissions: details.entitlements ?? [],
      scopes: payload.scope.split(' ').filter((s) => s !== ''),
      groups: details.groups ?? [],
      provenance: 'signed',
    })
  }
}
