"use strict";

/**
 * Let the button take photographs where there is a camera: by the camera app of a phone, else in a
 * dialog. `take` gets a list of the file, `complain` a sentence.
 */
function offerCamera(take, complain) {
  const button = byId("photograph");
  if (matchMedia("(pointer: coarse)").matches) {
    button.addEventListener("click", () => byId("camera").click()); // an input that is the app
    button.hidden = false;
    return;
  }
  const devices = navigator.mediaDevices; // none over plain HTTP from another machine
  if (!devices?.getUserMedia) return;
  const count = async () => {
    const found = await devices.enumerateDevices();
    button.hidden = !found.some((device) => device.kind === "videoinput");
  };
  devices.addEventListener("devicechange", count);
  count().catch(() => {});
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const wanted = { facingMode: "environment", width: { ideal: 1920 } };
      showFinder(await devices.getUserMedia({ video: wanted }));
    } catch {
      complain("The camera cannot be used: allow it for this page, and close what else uses it.");
    }
    button.disabled = false;
  });
  byId("shoot").addEventListener("click", async () => {
    const file = await shoot();
    byId("finder").close();
    take([file]);
  });
  byId("no-photo").addEventListener("click", () => byId("finder").close());
  byId("view").addEventListener("loadeddata", () => (byId("shoot").disabled = false));
  byId("finder").addEventListener("close", () => {
    for (const track of byId("view").srcObject.getTracks()) track.stop(); // and its light goes out
    byId("view").srcObject = null;
  });
}

function showFinder(stream) {
  byId("shoot").disabled = true; // until there is something to see
  byId("view").srcObject = stream;
  byId("finder").showModal();
}

async function shoot() {
  const view = byId("view");
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return new File([blob], "photo.jpg", { type: blob.type });
}
