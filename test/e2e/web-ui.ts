import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { repository } from '../support/shared.js';
import { until } from '../support/until.js';

const CHROMIUM = [process.env['PG_UNWIND_CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);

/** For `describe.skipIf`: null when there is a browser, otherwise why the tests are skipped. */
export const missingBrowser =
  CHROMIUM === undefined ? 'there is no Chromium (on Debian: apt-get install chromium)' : null;

const PICTURES = process.env['PG_UNWIND_SCREENSHOTS'] === '1' ? path.join(repository, 'docs', 'img') : null;
/** Two slow cores and a server that is busy with a run. */
const SEEN_WITHIN_MS = 45_000;

/** The Temporal Web UI as a person has it in front of them: what can be seen and clicked, nothing behind it. */
export interface WebUi {
  readonly page: Page;
  /** The list of workflows, with a filter as one would paste it. */
  openList(query?: string): Promise<void>;
  /** The list with a filter, as soon as it has the run. */
  findRun(query: string, workflowId: string): Promise<void>;
  /** From the list, by its filter: what an operator at 3 a.m. does. */
  openRun(query: string, workflowId: string): Promise<void>;
  openTab(tab: Tab): Promise<void>;
  /** Text of the card "Current Details", once it has all of these. */
  details(...having: readonly RegExp[]): Promise<string>;
  /** "More Actions", "Send an Update", up to the button, which `submit` presses. */
  fillUpdate(name: string, input?: object): Promise<void>;
  submitUpdate(): Promise<void>;
  /** Instead of `submitUpdate`: presses the button, sees the reason, and leaves the form. */
  refused(why: RegExp): Promise<void>;
  /** Pending Activities, at a moment when an attempt is under way and its heartbeat says this. */
  pending(heartbeat: RegExp): Promise<void>;
  /** "Start Workflow", all fields but the summary, up to the button. */
  fillStart(fields: { workflowId: string; taskQueue: string; type: string; input: object }): Promise<void>;
  /** Under "More options". */
  fillSummary(text: string): Promise<void>;
  submitStart(): Promise<void>;
  /** What is in front of one, into docs/img with PG_UNWIND_SCREENSHOTS=1; otherwise only that it can be taken. */
  picture(name: string, height?: number): Promise<void>;
  close(): Promise<void>;
}

export type Tab = 'history' | 'pending-activities' | 'user-metadata' | 'search-attributes' | 'queries' | 'memo';

const WIDTH = 1280;
const HEIGHT = 880;
/** The same on every page: left out of the pictures, which stay below 200 kB without them. */
const MENU = 64;
const HEADER = 49;

export async function openWebUi(url: string): Promise<WebUi> {
  const browser: Browser = await chromium.launch({
    executablePath: CHROMIUM ?? '',
    args: ['--no-sandbox'], // the tests run as root in a container
    timeout: 60_000,
  });
  const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT }, timezoneId: 'UTC' });
  page.setDefaultTimeout(SEEN_WITHIN_MS);
  const visible = (locator: Locator) => locator.locator('visible=true');
  // Each dialog is in the page twice, for two widths of the window: only one of them can be seen.
  const button = visible(page.getByTestId('confirm-modal-button'));

  /** As the editor itself sets it when one leaves it: else the buttons below move at the moment when they are pressed. */
  async function typeJson(input: object): Promise<void> {
    await visible(page.locator('.cm-content[contenteditable=true]')).last().click();
    await page.keyboard.insertText(JSON.stringify(input, null, 2));
    await visible(page.locator('.cm-line', { hasText: /^\{$/ }))
      .last()
      .waitFor();
  }

  const self: WebUi = {
    page,
    async openList(query) {
      const filter = query === undefined ? '' : `?query=${encodeURIComponent(query)}`;
      await page.goto(`${url}/namespaces/default/workflows${filter}`);
    },
    async findRun(query, workflowId) {
      const link = page.getByRole('link', { name: workflowId, exact: true }).first();
      await until(
        async () => {
          await self.openList(query); // the filter lags behind the run, and the list does not look again by itself
          await link.waitFor({ timeout: 5_000 });
          return link;
        },
        { within: SEEN_WITHIN_MS, every: 250, describe: `${workflowId} in the list of ${query}` },
      );
    },
    async openRun(query, workflowId) {
      await self.findRun(query, workflowId);
      await page.getByRole('link', { name: workflowId, exact: true }).first().click();
      await page.getByRole('heading', { name: workflowId }).first().waitFor();
    },
    async openTab(tab) {
      await page.getByTestId(`${tab}-tab`).click();
      await page.waitForURL((at) => at.pathname.endsWith(`/${tab === 'queries' ? 'query' : tab}`));
    },
    async details(...having) {
      await self.openTab('user-metadata');
      const card = page.frameLocator('iframe').last().locator('body');
      for (const text of having) await card.filter({ hasText: text }).waitFor();
      return card.innerText();
    },
    async fillUpdate(name, input) {
      await page.getByRole('button', { name: 'More Actions' }).click();
      await page.getByRole('menuitem', { name: 'Send an Update' }).click();
      await visible(page.getByTestId('update-select-button')).click();
      await visible(page.getByRole('option', { name: new RegExp(`^\\s*${name}\\s`) })).click();
      if (input) await typeJson(input);
    },
    async submitUpdate() {
      await button.click();
      await page.getByText('Update successful').waitFor();
    },
    async refused(why) {
      await button.click();
      await visible(page.getByText(why)).first().waitFor();
      await page.keyboard.press('Escape');
      await button.waitFor({ state: 'hidden' });
    },
    async pending(heartbeat) {
      await self.openTab('pending-activities');
      await until(
        async () => {
          const text = await page.locator('main, body').last().innerText();
          if (/Heartbeat Details/i.test(text) && heartbeat.test(text)) return text;
          await page.reload();
          await page.getByText('Activity ID').first().waitFor();
          return null;
        },
        { within: SEEN_WITHIN_MS, every: 250, describe: `a heartbeat with ${heartbeat}` },
      );
    },
    async fillStart({ workflowId, taskQueue, type, input }) {
      await page.goto(`${url}/namespaces/default/workflows/start-workflow`);
      await page.locator('#workflowId').fill(workflowId);
      await page.locator('#taskQueue').fill(taskQueue);
      await page.locator('#workflowType').fill(type);
      await page.getByText('Task Queue is Active').waitFor();
      await typeJson(input);
    },
    async fillSummary(text) {
      await page.getByRole('button', { name: 'More options' }).click();
      const editors = visible(page.locator('.cm-content[contenteditable=true]'));
      await editors.nth(2).waitFor(); // input, summary, details
      await editors.nth(1).click();
      await page.keyboard.insertText(text);
    },
    async submitStart() {
      await page.getByTestId('start-workflow-button').click();
    },
    async picture(name, height = HEIGHT) {
      await page.setViewportSize({ width: WIDTH, height });
      if (PICTURES !== null) await mkdir(PICTURES, { recursive: true });
      const target = PICTURES === null ? {} : { path: path.join(PICTURES, `${name}.png`) };
      const clip = { x: MENU, y: HEADER, width: WIDTH - MENU, height: height - HEADER };
      await page.screenshot({ ...target, clip, animations: 'disabled', scale: 'css' });
      await page.setViewportSize({ width: WIDTH, height: HEIGHT });
    },
    close: () => browser.close(),
  };
  return self;
}
