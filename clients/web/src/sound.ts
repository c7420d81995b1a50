/** A short sound made by the browser: two soft notes, three when it is urgent. */

const NOTES_HZ = { normal: [660, 880], urgent: [880, 660, 880] };
const NOTE_S = 0.13;
const LOUDNESS = 0.12;
const GAP_MS = 1500;

let context: AudioContext | null = null;
let last = -Infinity;

/** One for a burst. Browsers are silent until somebody has clicked or typed on the page. */
export function playSound(urgent: boolean): void {
  if (!("AudioContext" in globalThis) || performance.now() - last < GAP_MS) return;
  last = performance.now();
  context ??= new AudioContext();
  const audio = context;
  void audio.resume().then(() => {
    NOTES_HZ[urgent ? "urgent" : "normal"].forEach((hz, n) =>
      note(audio, hz, audio.currentTime + n * NOTE_S),
    );
  });
}

function note(audio: AudioContext, hz: number, at: number): void {
  const [oscillator, volume] = [audio.createOscillator(), audio.createGain()];
  oscillator.frequency.value = hz;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.001, at + NOTE_S * 1.6);
  oscillator.connect(volume).connect(audio.destination);
  oscillator.start(at);
  oscillator.stop(at + NOTE_S * 1.6);
}
