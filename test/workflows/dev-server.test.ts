import net from 'node:net';
import { Connection } from '@temporalio/client';
import { expect, inject, test } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/contract/search-attributes.js';
import { startDevServer } from '../../src/temporal/dev-server.js';
import { registeredSearchAttributes, registerSearchAttributes } from '../../src/temporal/search-attributes.js';

test('the development server knows the search attributes of a run, and registering them again adds nothing', async () => {
  const { address, namespace } = inject('temporal');
  const connection = await Connection.connect({ address });
  try {
    const { registered, missing, ofAnotherType } = await registeredSearchAttributes(connection, namespace);
    expect(registered).toEqual(SEARCH_ATTRIBUTES.map((key) => key.name));
    expect([...missing, ...ofAnotherType]).toEqual([]);
    expect(await registerSearchAttributes(connection, namespace)).toEqual([]);
  } finally {
    await connection.close();
  }
});

test('a port that is taken is refused by name when it was asked for', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as net.AddressInfo;
  try {
    await expect(startDevServer({ port, headless: true })).rejects.toThrow(
      new RegExp(`Port ${port} on 127.0.0.1 is taken`),
    );
  } finally {
    taken.close();
  }
});

test('it serves the Web UI where it says, and is gone after stop', async () => {
  const server = await startDevServer({ anyPort: true });
  try {
    const page = await fetch(String(server.uiUrl));
    expect(page.status).toBe(200);
    await page.text();
  } finally {
    await server.stop();
    await server.stop();
  }
  expect(() => process.kill(server.pid, 0)).toThrow('ESRCH');
});
