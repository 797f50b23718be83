// A client of the gateway as openid-client makes them: it gets tokens that are
// bound to its key and calls an API with them. Nonces are openid-client's affair.
//
//   node client.mjs ISSUER SECRET RESOURCE URL
import * as oauth from 'openid-client';

const args = process.argv.slice(2);
if (args.length !== 4 || ![args[0], args[3]].every((url) => URL.canParse(url))) {
  const asked = ['-h', '--help'].includes(args[0]);
  console[asked ? 'log' : 'error']('node examples/openid/client.mjs ISSUER SECRET RESOURCE URL');
  process.exit(asked ? 0 : 2);
}
const [issuer, secret, resource, url] = args;
const config = await oauth.discovery(new URL(issuer), 'machine-dpop', undefined, oauth.ClientSecretBasic(secret), {
  execute: [oauth.allowInsecureRequests], // it is on this machine
});
const call = (token, options) => oauth.fetchProtectedResource(config, token, new URL(url), 'GET', undefined, undefined, options);
for (const algorithm of ['ES256', 'Ed25519']) {
  const DPoP = oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair(algorithm));
  const { access_token: token } = await oauth.clientCredentialsGrant(config, { resource, scope: 'orders.read' }, { DPoP });
  for (const attempt of ['first', 'second']) {
    const { subject } = await (await call(token, { DPoP })).json();
    console.log(algorithm, attempt, subject);
  }
  const challenges = await call(token).then((res) => `status ${res.status}`, (err) => err.cause);
  console.log(algorithm, 'plain', challenges.map?.(({ scheme, parameters }) => `${scheme}:${parameters.error ?? ''}`).join() ?? challenges);
}
