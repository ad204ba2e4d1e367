/** The terminal as a whole, for as long as something is shown on it. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  draw(lines: readonly string[]): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

export interface ScreenEvents {
  onKey(chunk: string): void;
  onResize(): void;
}

/** What a screen needs of `process.stdin` and `process.stdout`. */
export interface Keyboard {
  setRawMode(on: boolean): unknown;
  setEncoding(encoding: 'utf8'): unknown;
  on(event: 'data', listener: (chunk: string) => void): unknown;
  removeListener(event: 'data', listener: (chunk: string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}
export interface Display {
  readonly columns: number;
  readonly rows: number;
  readonly writableNeedDrain: boolean;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  removeListener(event: 'resize', listener: () => void): unknown;
}

const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J'; // other screen, no cursor, no wrapping
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

/**
 * The alternate screen. A frame is one write and holds only the rows that have changed, so that a slow line keeps up; while one is
 * still on its way the next is left out. Whatever ends the process gives the terminal back.
 */
export function openScreen(keyboard: Keyboard, display: Display, events: ScreenEvents): Screen {
  let before: readonly string[] = [];
  let isOpen = true;
  const onResize = () => {
    before = [];
    display.write('\x1b[2J');
    events.onResize();
  };
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    process.removeListener('exit', close);
    display.removeListener('resize', onResize);
    keyboard.removeListener('data', events.onKey);
    keyboard.setRawMode(false);
    keyboard.pause();
    display.write(LEAVE);
  };
  process.once('exit', close); // a crash too
  display.write(ENTER);
  keyboard.setRawMode(true);
  keyboard.setEncoding('utf8');
  keyboard.on('data', events.onKey);
  keyboard.resume();
  display.on('resize', onResize);
  return {
    get columns() {
      return display.columns;
    },
    get rows() {
      return display.rows;
    },
    draw(lines) {
      if (!isOpen || display.writableNeedDrain) return;
      // A row is cleared before it is written: behind a full one, clearing would take its last letter away.
      const changed = lines.flatMap((text, at) => (text === before[at] ? [] : [`\x1b[${at + 1};1H\x1b[K${text}`]));
      const surplus = lines.length < before.length ? [`\x1b[${lines.length + 1};1H\x1b[J`] : [];
      before = lines;
      if (changed.length + surplus.length > 0) display.write([...changed, ...surplus].join(''));
    },
    close,
  };
}
