/** A reply's place in the order of its channel. */
export class Place {
  private readonly gate: ReplyGate;
  action: (() => void) | null = null;

  constructor(gate: ReplyGate) {
    this.gate = gate;
  }

  /** Nothing asked earlier is unanswered: what completes this place runs at once. */
  get first(): boolean {
    return this.gate.isFirst(this);
  }

  /** Gives the answer, now or when it is its turn. Once only. */
  complete(action: () => void): void {
    this.action = action;
    this.gate.drain();
  }
}

/**
 * Keeps a channel's replies in the order of its requests while some of them wait: for a change of
 * topology to be durable, for a commit, for a message to come from disk.
 */
export class ReplyGate {
  private readonly places: Place[] = [];

  isFirst(place: Place): boolean {
    return this.places[0] === place;
  }

  /** Runs `action` when everything asked before has been answered. */
  pass(action: () => void): void {
    if (this.places.length === 0) action();
    else this.hold().complete(action);
  }

  hold(): Place {
    const place = new Place(this);
    this.places.push(place);
    return place;
  }

  drain(): void {
    for (;;) {
      const action = this.places[0]?.action;
      if (action === undefined || action === null) return;
      this.places.shift();
      action();
    }
  }
}
