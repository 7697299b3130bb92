// A photograph of one's own: chosen, dropped anywhere on the page, or taken with the camera.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { go, link, useAddress } from "./address";
import { say } from "./language";
import { Trouble, Waiting } from "./parts";
import type { ImagePage, Problem } from "./schema";
import { problemOf, upload } from "./server";

/** Has the network asked about photographs; whoever stays on the page sees the answer. */
function useUpload() {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [waits, setWaits] = useState(false);
  const [answered, setAnswered] = useState<ImagePage | null>(null); // while one had gone elsewhere
  const { page, name } = useAddress();
  useEffect(() => {
    setProblem(null); // it was about what was tried on the page before
    setAnswered(null);
  }, [page, name]);
  const ask = async (photograph: Blob) => {
    const here = location.hash;
    setProblem(null);
    setWaits(true);
    try {
      const taken = await upload<ImagePage>(photograph);
      if (location.hash === here) go("image", taken.name);
      else setAnswered(taken);
    } catch (error) {
      setProblem(problemOf(error));
    }
    setWaits(false);
  };
  return { ask, waits, answered, problem, setProblem };
}

export function OwnPhotograph() {
  const { ask, setProblem, ...told } = useUpload();
  const [camera, setCamera] = useState<MediaStream | null>(null);
  const [over, setOver] = useState(false);
  useEffect(() => dropping(setOver, (photograph) => void ask(photograph)), []);
  const film = async () => {
    try {
      setCamera(await navigator.mediaDevices.getUserMedia({ video: true }));
    } catch {
      setProblem({ kind: "refused", message: say("no camera"), hint: say("no camera hint") });
    }
  };
  const close = () => {
    camera?.getTracks().forEach((track) => track.stop());
    setCamera(null);
  };
  return (
    <div class="own-photograph">
      <label class="button">
        {say("own photograph")}
        <input
          class="unseen"
          type="file"
          accept="image/*"
          onChange={(event) => {
            const [file] = event.currentTarget.files ?? [];
            if (file) void ask(file);
            event.currentTarget.value = "";
          }}
        />
      </label>
      {"mediaDevices" in navigator && (
        <button type="button" onClick={() => void film()}>
          {say("camera")}
        </button>
      )}
      {over && <div class="drop">{say("drop here")}</div>}
      {camera && <Camera stream={camera} take={(photograph) => (close(), void ask(photograph))} close={close} />}
      <Notices {...told} forget={() => setProblem(null)} />
    </div>
  );
}

interface NoticesSettings {
  waits: boolean;
  answered: ImagePage | null;
  problem: Problem | null;
  forget: () => void;
}

/** What has become of a photograph that the network was asked about. */
function Notices({ waits, answered, problem, forget }: NoticesSettings) {
  return (
    <>
      {(waits || answered) && (
        <div class="floating">
          {waits && <Waiting text={say("own waiting")} />}
          {answered && (
            <p role="status">
              <a href={link("image", answered.name)}>{say("own answered", { name: answered.id })}</a>
            </p>
          )}
        </div>
      )}
      {problem && (
        <div class="floating">
          <Escape close={forget} />
          <Trouble problem={problem} />
          <button type="button" onClick={forget}>
            {say("close")}
          </button>
        </div>
      )}
    </>
  );
}

/** Closes what it stands in by the key for it. */
function Escape({ close }: { close: () => void }) {
  // Before it is seen: a key that is pressed then counts.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => event.key === "Escape" && close();
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  });
  return null;
}

/** Listens for a file that is dragged over the page; gives what ends it. */
function dropping(over: (is: boolean) => void, take: (photograph: Blob) => void): () => void {
  const holds = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const drag = (event: DragEvent) => {
    if (!holds(event)) return;
    event.preventDefault();
    over(true);
  };
  const leave = (event: DragEvent) => {
    if (!event.relatedTarget) over(false);
  };
  const drop = (event: DragEvent) => {
    if (!holds(event)) return;
    event.preventDefault();
    over(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  };
  document.addEventListener("dragover", drag);
  document.addEventListener("dragleave", leave);
  document.addEventListener("drop", drop);
  return () => {
    document.removeEventListener("dragover", drag);
    document.removeEventListener("dragleave", leave);
    document.removeEventListener("drop", drop);
  };
}

function Camera({ stream, take, close }: { stream: MediaStream; take: (photograph: Blob) => void; close: () => void }) {
  const video = useRef<HTMLVideoElement>(null), dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = stream;
    dialog.current?.showModal();
  }, [stream]);
  const shoot = () => {
    const seen = video.current;
    if (!seen) return;
    const canvas = document.createElement("canvas");
    canvas.width = seen.videoWidth;
    canvas.height = seen.videoHeight;
    canvas.getContext("2d")?.drawImage(seen, 0, 0);
    canvas.toBlob((photograph) => photograph && take(photograph), "image/png");
  };
  return (
    <dialog ref={dialog} class="camera" aria-label={say("camera")} onClose={close}>
      <video ref={video} autoplay muted playsinline />
      <p>
        <button type="button" onClick={shoot}>
          {say("take")}
        </button>
        <button type="button" onClick={close}>
          {say("close")}
        </button>
      </p>
    </dialog>
  );
}
